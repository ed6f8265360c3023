-- Aggregates over time. The job recomputes each minute that a batch touches from its raw rows, in the same
-- transaction; longer periods are views that add minutes up. What is kept are exact sums: no rounding depends
-- on the order in which readings came.
CREATE TABLE sensors.sums_1m (
    bucket    timestamptz      NOT NULL,
    sensor_id text             NOT NULL,
    type      text             NOT NULL,
    readings  bigint           NOT NULL DEFAULT 0,
    minimum   double precision,
    maximum   double precision,
    total     numeric          NOT NULL DEFAULT 0,
    squares   numeric          NOT NULL DEFAULT 0,
    anomalies bigint           NOT NULL DEFAULT 0,
    CONSTRAINT sums_1m_identity UNIQUE (sensor_id, type, bucket)
) WITH (fillfactor = 70);
COMMENT ON COLUMN sensors.sums_1m.total IS 'sum of the values, exact to 15 significant digits of each';
COMMENT ON COLUMN sensors.sums_1m.squares IS 'sum of the squared values, as exact as total';
COMMENT ON COLUMN sensors.sums_1m.anomalies IS 'rows of sensors.anomalies: a reading that two rules flag counts twice';
SELECT create_hypertable('sensors.sums_1m', 'bucket',
    chunk_time_interval => INTERVAL '7 days', create_default_indexes => false);
CREATE INDEX sums_1m_bucket ON sensors.sums_1m (bucket);

CREATE FUNCTION sensors.mean(readings bigint, total numeric) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (total / nullif(readings, 0))::double precision $$;

-- The sample's standard deviation; null for a single reading. The difference is between integers of the same
-- scale, so nothing cancels out that was not equal.
CREATE FUNCTION sensors.deviation(readings bigint, total numeric, squares numeric) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sqrt((readings * squares - total * total) / nullif(readings * (readings - 1), 0))::double precision
$$;

CREATE VIEW sensors.aggregates_1m AS
SELECT bucket, sensor_id, type, readings, minimum, maximum,
       sensors.mean(readings, total) AS mean,
       sensors.deviation(readings, total, squares) AS deviation,
       anomalies
FROM sensors.sums_1m;

CREATE VIEW sensors.aggregates_10m AS
SELECT time_bucket(INTERVAL '10 minutes', bucket) AS bucket, sensor_id, type,
       sum(readings)::bigint AS readings, min(minimum) AS minimum, max(maximum) AS maximum,
       sensors.mean(sum(readings)::bigint, sum(total)) AS mean,
       sensors.deviation(sum(readings)::bigint, sum(total), sum(squares)) AS deviation,
       sum(anomalies)::bigint AS anomalies
FROM sensors.sums_1m
GROUP BY 1, 2, 3;

CREATE VIEW sensors.aggregates_1h AS
SELECT time_bucket(INTERVAL '1 hour', bucket) AS bucket, sensor_id, type,
       sum(readings)::bigint AS readings, min(minimum) AS minimum, max(maximum) AS maximum,
       sensors.mean(sum(readings)::bigint, sum(total)) AS mean,
       sensors.deviation(sum(readings)::bigint, sum(total), sum(squares)) AS deviation,
       sum(anomalies)::bigint AS anomalies
FROM sensors.sums_1m
GROUP BY 1, 2, 3;

-- What each minute should be: the raw rows added up again. For the backfill, and for whoever wants to check.
CREATE VIEW sensors.recomputed_1m AS
SELECT m.bucket, m.sensor_id, m.type, m.readings, m.minimum, m.maximum, m.total, m.squares,
       coalesce(a.anomalies, 0) AS anomalies
FROM (SELECT time_bucket(INTERVAL '1 minute', event_time) AS bucket, sensor_id, type, count(*) AS readings,
             min(value) AS minimum, max(value) AS maximum, sum(value::numeric) AS total,
             sum(value::numeric * value::numeric) AS squares
      FROM sensors.measurements
      GROUP BY 1, 2, 3) m
LEFT JOIN (SELECT time_bucket(INTERVAL '1 minute', event_time) AS bucket, sensor_id, type, count(*) AS anomalies
      FROM sensors.anomalies
      GROUP BY 1, 2, 3) a USING (bucket, sensor_id, type);

-- Empty unless something is wrong: minutes that differ from their raw rows, as kept and as they should be.
CREATE VIEW sensors.wrong_1m AS
WITH kept AS (
    SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies FROM sensors.sums_1m
), again AS (
    SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies FROM sensors.recomputed_1m
)
SELECT 'kept' AS side, k.* FROM (TABLE kept EXCEPT TABLE again) k
UNION ALL
SELECT 'recomputed' AS side, a.* FROM (TABLE again EXCEPT TABLE kept) a;

-- Readings that a job stored before it knew of aggregates. Each job calls this as it starts, the first one that
-- does adds them up; with the ledger locked no task can store a reading meanwhile. Returns the minutes written.
CREATE TABLE sensors.backfills (
    name    text        PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION sensors.backfill_sums() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    minutes bigint;
BEGIN
    PERFORM FROM sensors.ledger ORDER BY topic, partition FOR UPDATE;
    IF EXISTS (SELECT FROM sensors.backfills WHERE name = 'sums_1m') THEN
        RETURN 0;
    END IF;
    INSERT INTO sensors.sums_1m (bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies)
    SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies
    FROM sensors.recomputed_1m
    ON CONFLICT (sensor_id, type, bucket) DO UPDATE SET
        readings = excluded.readings, minimum = excluded.minimum, maximum = excluded.maximum,
        total = excluded.total, squares = excluded.squares, anomalies = excluded.anomalies;
    GET DIAGNOSTICS minutes = ROW_COUNT;
    INSERT INTO sensors.backfills (name) VALUES ('sums_1m');
    RETURN minutes;
END
$$;
REVOKE ALL ON FUNCTION sensors.backfill_sums() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sensors.backfill_sums() TO sensors_job;

GRANT SELECT, INSERT, UPDATE ON sensors.sums_1m TO sensors_job;
GRANT SELECT ON sensors.sums_1m, sensors.aggregates_1m, sensors.aggregates_10m, sensors.aggregates_1h,
    sensors.recomputed_1m, sensors.wrong_1m, sensors.backfills TO sensors_reader;
