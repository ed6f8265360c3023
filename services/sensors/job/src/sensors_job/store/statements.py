"""The SQL of one partition's transaction."""

LOCK = "SELECT next_offset FROM sensors.ledger WHERE topic = %s AND partition = %s FOR UPDATE"
ADVANCE = "UPDATE sensors.ledger SET next_offset = %s, updated_at = now() WHERE topic = %s AND partition = %s"

MEASUREMENTS = (
    "sensors.measurements (event_time, sensor_id, type, value, source_partition, source_offset, appended_at, "
    "weekday, hour, business_hours, rules_version)"
)

# The order of offsets makes the first of several equal identities win, also within one batch.
MERGE = """
WITH inserted AS (
    INSERT INTO sensors.measurements (event_time, sensor_id, type, value, source_partition, source_offset,
        appended_at, weekday, hour, business_hours, rules_version)
    SELECT event_time, sensor_id, type, value, source_partition, source_offset, appended_at, weekday, hour,
        business_hours, rules_version
    FROM stage_measurements ORDER BY source_offset
    ON CONFLICT (sensor_id, type, event_time) DO NOTHING
    RETURNING source_offset)
INSERT INTO stage_inserted SELECT source_offset FROM inserted
"""
ANALYZE = "ANALYZE stage_measurements, stage_inserted"
# The bounds in time let the planner leave out the chunks that can't hold any of these readings.
BOUNDS = "SELECT min(event_time), max(event_time) FROM stage_measurements"
_REPEATED = """
FROM stage_measurements s
JOIN sensors.measurements m USING (sensor_id, type, event_time)
WHERE m.event_time BETWEEN %s AND %s
AND NOT EXISTS (SELECT FROM stage_inserted i WHERE i.source_offset = s.source_offset)
"""
DUPLICATES = f"SELECT s.sensor_id, count(*) {_REPEATED} AND m.value = s.value GROUP BY s.sensor_id"
CONFLICTS = f"SELECT s.sensor_id, s.source_offset {_REPEATED} AND m.value <> s.value"
CONFLICT_REJECTS = (
    "INSERT INTO stage_rejects (reason, sensor_id, source_offset, appended_at, key, value) VALUES "
    "('conflicting_value', %s, %s, to_timestamp(%s / 1000.0), %s, %s)"
)

# An anomaly may still be there although its reading is gone (chunks are dropped): then nothing is new.
ANOMALIES = """
WITH new AS (
    INSERT INTO sensors.anomalies (event_time, sensor_id, type, value, rule_id, severity, threshold,
        rules_version, source_topic, source_partition, source_offset)
    SELECT stamp::timestamptz, sensor_id, type, value, rule_id, severity, threshold, rules_version,
        %(topic)s, %(partition)s, source_offset
    FROM stage_anomalies s
    WHERE NOT %(merged)s OR EXISTS (SELECT FROM stage_inserted i WHERE i.source_offset = s.source_offset)
    ORDER BY source_offset, rule_id
    ON CONFLICT DO NOTHING
    RETURNING source_offset, rule_id)
INSERT INTO sensors.outbox (topic, key, value)
SELECT %(anomalies_topic)s, sensor_id, json_build_object(
    'sensor_id', sensor_id, 'type', type, 'value', value, 'unit', unit, 'timestamp', stamp,
    'rule_id', rule_id, 'severity', severity, 'threshold', threshold, 'rules_version', rules_version,
    'topic', %(topic)s::text, 'partition', %(partition)s::integer, 'offset', source_offset)::text
FROM stage_anomalies JOIN new USING (source_offset, rule_id)
ORDER BY source_offset, rule_id
"""

# A partition that an operator makes the job read again has its rejects already: they are not sent twice.
REJECTS = """
WITH new AS (
    INSERT INTO sensors.rejects (reason, sensor_id, source_topic, source_partition, source_offset,
        appended_at, key, value)
    SELECT reason, sensor_id, %(topic)s, %(partition)s, source_offset, appended_at, key, value
    FROM stage_rejects ORDER BY source_offset
    ON CONFLICT DO NOTHING
    RETURNING *)
INSERT INTO sensors.outbox (topic, key, value)
SELECT %(rejected_topic)s, source_topic || '/' || source_partition || '/' || source_offset, json_build_object(
    'reason', reason, 'topic', source_topic, 'partition', source_partition, 'offset', source_offset,
    'appended_at', to_char(appended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'key_base64', replace(encode(key, 'base64'), E'\\n', ''),
    'value_base64', replace(encode(value, 'base64'), E'\\n', ''))::text
FROM new ORDER BY source_offset
"""

CLEAR = "TRUNCATE stage_measurements, stage_inserted, stage_anomalies, stage_rejects"

COUNTS = """
INSERT INTO sensors.counts AS c (topic, partition, sensor_id, stored, duplicates, rejected)
SELECT %s, %s, sensor_id, stored, duplicates, rejected
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS n(sensor_id, stored, duplicates, rejected)
ORDER BY sensor_id
ON CONFLICT (topic, partition, sensor_id) DO UPDATE SET
    stored = c.stored + excluded.stored,
    duplicates = c.duplicates + excluded.duplicates,
    rejected = c.rejected + excluded.rejected
"""

# Makes the rows of the minutes that a task touched and locks them, in the order of their keys: another task
# that wants one of them waits here, so that whoever comes second recomputes with the first one's readings.
TOUCH = """
INSERT INTO sensors.sums_1m AS s (bucket, sensor_id, type)
SELECT to_timestamp(second), sensor_id, type
FROM unnest(%(sensors)s::text[], %(types)s::text[], %(seconds)s::bigint[]) AS t(sensor_id, type, second)
ORDER BY sensor_id, type, second
ON CONFLICT (sensor_id, type, bucket) DO UPDATE SET readings = s.readings
"""

# A statement of its own, since its snapshot must be younger than the locks. The bounds leave out chunks.
# OFFSET 0 keeps the planner from writing the conversion to numeric, the dearest step, in each of its places.
RECOMPUTE = """
UPDATE sensors.sums_1m s SET
    readings = n.readings, minimum = n.minimum, maximum = n.maximum, total = n.total, squares = n.squares,
    anomalies = n.anomalies
FROM (
    SELECT t.bucket, t.sensor_id, t.type, m.*, a.*
    FROM (SELECT to_timestamp(second) AS bucket, sensor_id, type
          FROM unnest(%(sensors)s::text[], %(types)s::text[], %(seconds)s::bigint[])
              AS u(sensor_id, type, second)) t
    CROSS JOIN LATERAL (
        SELECT count(*) AS readings, min(value) AS minimum, max(value) AS maximum,
            coalesce(sum(exact), 0) AS total, coalesce(sum(exact * exact), 0) AS squares
        FROM (
            SELECT value, value::numeric AS exact
            FROM sensors.measurements r
            WHERE r.sensor_id = t.sensor_id AND r.type = t.type
            AND r.event_time >= t.bucket AND r.event_time < t.bucket + interval '1 minute'
            AND r.event_time >= to_timestamp(%(first)s) AND r.event_time < to_timestamp(%(end)s)
            OFFSET 0) v) m
    CROSS JOIN LATERAL (
        SELECT count(*) AS anomalies
        FROM sensors.anomalies f
        WHERE f.sensor_id = t.sensor_id AND f.type = t.type
        AND f.event_time >= t.bucket AND f.event_time < t.bucket + interval '1 minute'
        AND f.event_time >= to_timestamp(%(first)s) AND f.event_time < to_timestamp(%(end)s)) a
) n
WHERE s.sensor_id = n.sensor_id AND s.type = n.type AND s.bucket = n.bucket
AND s.bucket >= to_timestamp(%(first)s) AND s.bucket < to_timestamp(%(end)s)
"""
