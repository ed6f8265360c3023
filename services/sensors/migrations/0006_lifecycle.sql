-- How long data are kept, as data, and the functions that delete what is past its time. The command
-- sensors-lifecycle calls them (docs/data-lifecycle.md); its role can do this and nothing else.
CREATE TABLE sensors.lifecycle (
    kind           text PRIMARY KEY CHECK (kind IN ('measurements', 'anomalies', 'sums_1m', 'sums_10m', 'sums_1h')),
    compress_after interval CHECK (compress_after > INTERVAL '0' AND isfinite(compress_after)),
    drop_after     interval CHECK (drop_after > INTERVAL '0' AND isfinite(drop_after))
);
COMMENT ON TABLE sensors.lifecycle IS 'one row for each hypertable of the schema; the ages are those of whole chunks';
COMMENT ON COLUMN sensors.lifecycle.compress_after IS 'null: never; the Community edition alone can compress';
COMMENT ON COLUMN sensors.lifecycle.drop_after IS 'null: never';
INSERT INTO sensors.lifecycle (kind, compress_after, drop_after) VALUES
    ('measurements', '3 days', '90 days'),
    ('anomalies', '7 days', '365 days'),
    ('sums_1m', '7 days', '180 days'),
    ('sums_10m', '7 days', '365 days'),
    ('sums_1h', '30 days', '730 days');

-- What minutes came to that are gone: exact sums again, written in the transaction that drops the minutes.
CREATE TABLE sensors.sums_10m (
    bucket    timestamptz      NOT NULL,
    sensor_id text             NOT NULL,
    type      text             NOT NULL,
    readings  bigint           NOT NULL,
    minimum   double precision,
    maximum   double precision,
    total     numeric          NOT NULL,
    squares   numeric          NOT NULL,
    anomalies bigint           NOT NULL,
    CONSTRAINT sums_10m_identity UNIQUE (sensor_id, type, bucket)
);
COMMENT ON TABLE sensors.sums_10m IS 'of dropped minutes only: sensors.aggregates_10m adds those that are still there';
CREATE TABLE sensors.sums_1h (LIKE sensors.sums_10m, CONSTRAINT sums_1h_identity UNIQUE (sensor_id, type, bucket));
COMMENT ON TABLE sensors.sums_1h IS 'of dropped minutes only: sensors.aggregates_1h adds those that are still there';
SELECT create_hypertable('sensors.sums_10m', 'bucket',
    chunk_time_interval => INTERVAL '28 days', create_default_indexes => false);
SELECT create_hypertable('sensors.sums_1h', 'bucket',
    chunk_time_interval => INTERVAL '84 days', create_default_indexes => false);
CREATE INDEX sums_10m_bucket ON sensors.sums_10m (bucket);
CREATE INDEX sums_1h_bucket ON sensors.sums_1h (bucket);

-- Added up in two steps: the inner one lets a condition on the time reach the chunks of the minutes.
CREATE OR REPLACE VIEW sensors.aggregates_10m AS
SELECT bucket, sensor_id, type,
       sum(readings)::bigint AS readings, min(minimum) AS minimum, max(maximum) AS maximum,
       sensors.mean(sum(readings)::bigint, sum(total)) AS mean,
       sensors.deviation(sum(readings)::bigint, sum(total), sum(squares)) AS deviation,
       sum(anomalies)::bigint AS anomalies
FROM (SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies
      FROM sensors.sums_10m
      UNION ALL
      SELECT time_bucket(INTERVAL '10 minutes', bucket), sensor_id, type, sum(readings), min(minimum), max(maximum),
             sum(total), sum(squares), sum(anomalies)
      FROM sensors.sums_1m
      GROUP BY 1, 2, 3) AS parts
GROUP BY 1, 2, 3;

CREATE OR REPLACE VIEW sensors.aggregates_1h AS
SELECT bucket, sensor_id, type,
       sum(readings)::bigint AS readings, min(minimum) AS minimum, max(maximum) AS maximum,
       sensors.mean(sum(readings)::bigint, sum(total)) AS mean,
       sensors.deviation(sum(readings)::bigint, sum(total), sum(squares)) AS deviation,
       sum(anomalies)::bigint AS anomalies
FROM (SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies
      FROM sensors.sums_1h
      UNION ALL
      SELECT time_bucket(INTERVAL '1 hour', bucket), sensor_id, type, sum(readings), min(minimum), max(maximum),
             sum(total), sum(squares), sum(anomalies)
      FROM sensors.sums_1m
      GROUP BY 1, 2, 3) AS parts
GROUP BY 1, 2, 3;

-- The chunks that were dropped on purpose.
CREATE TABLE sensors.dropped (
    kind        text        NOT NULL REFERENCES sensors.lifecycle,
    range_start timestamptz NOT NULL,
    range_end   timestamptz NOT NULL CHECK (range_end > range_start),
    dropped_at  timestamptz NOT NULL DEFAULT now()
);

-- Where minutes can't be held against their readings any more, because one or the other was dropped.
CREATE VIEW sensors.dropped_1m AS
SELECT coalesce(range_agg(tstzrange(range_start, range_end)), '{}') AS ranges
FROM sensors.dropped
WHERE kind IN ('measurements', 'anomalies', 'sums_1m');

CREATE OR REPLACE VIEW sensors.recomputed_1m AS
SELECT m.bucket, m.sensor_id, m.type, m.readings, m.minimum, m.maximum, m.total, m.squares,
       coalesce(a.anomalies, 0) AS anomalies
FROM (SELECT time_bucket(INTERVAL '1 minute', event_time) AS bucket, sensor_id, type, count(*) AS readings,
             min(value) AS minimum, max(value) AS maximum, sum(value::numeric) AS total,
             sum(value::numeric * value::numeric) AS squares
      FROM sensors.measurements
      WHERE NOT event_time <@ (SELECT ranges FROM sensors.dropped_1m)
      GROUP BY 1, 2, 3) m
LEFT JOIN (SELECT time_bucket(INTERVAL '1 minute', event_time) AS bucket, sensor_id, type, count(*) AS anomalies
      FROM sensors.anomalies
      GROUP BY 1, 2, 3) a USING (bucket, sensor_id, type);

CREATE OR REPLACE VIEW sensors.wrong_1m AS
WITH kept AS (
    SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies
    FROM sensors.sums_1m
    WHERE NOT bucket <@ (SELECT ranges FROM sensors.dropped_1m)
), again AS (
    SELECT bucket, sensor_id, type, readings, minimum, maximum, total, squares, anomalies FROM sensors.recomputed_1m
)
SELECT 'kept' AS side, k.* FROM (TABLE kept EXCEPT TABLE again) k
UNION ALL
SELECT 'recomputed' AS side, a.* FROM (TABLE again EXCEPT TABLE kept) a;

-- What a period's readings come to: how many, and the sum of a hash of each one's identity and value, of which
-- sensors_job.lifecycle_lake computes the same from the lake. Not of the message's coordinates: where a reading
-- was sent twice, database and lake may have taken it from different messages, and nothing is lost by that.
CREATE FUNCTION sensors.digests(p_begin timestamptz, p_end timestamptz)
RETURNS TABLE (sensor_id text, type text, hour bigint, readings bigint, digest numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT m.sensor_id, m.type, extract(epoch FROM date_trunc('hour', m.event_time, 'UTC'))::bigint, count(*),
        sum(('x' || left(md5(concat_ws('|', m.sensor_id, m.type,
            (extract(epoch FROM m.event_time) * 1000000)::bigint,
            -- The double's bits, as texts of one number differ between systems.
            ('x' || encode(float8send(m.value), 'hex'))::bit(64)::bigint)), 15))::bit(60)::bigint)
    FROM sensors.measurements m
    WHERE m.event_time >= p_begin AND m.event_time < p_end
    GROUP BY 1, 2, 3
$$;

-- What the lake was found to hold of the readings that a chunk had then.
CREATE TABLE sensors.verifications (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    range_start timestamptz NOT NULL,
    range_end   timestamptz NOT NULL CHECK (range_end > range_start),
    readings    bigint      NOT NULL CHECK (readings >= 0),
    digest      numeric     NOT NULL,
    held_by     text        NOT NULL CHECK (held_by IN ('lake', 'nothing')),
    verified_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN sensors.verifications.held_by IS
    'nothing: there is no lake, and the settings say that readings may be deleted all the same';

CREATE FUNCTION sensors.record_verification(p_begin timestamptz, p_end timestamptz, p_readings bigint,
    p_digest numeric, p_held_by text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO sensors.verifications (range_start, range_end, readings, digest, held_by)
    VALUES (p_begin, p_end, p_readings, p_digest, p_held_by)
$$;

-- The chunk of exactly this range, locked, so that no row can come, go or change until the transaction ends;
-- an error if there is none, or it isn't past its time.
CREATE FUNCTION sensors.lock_due_chunk(p_kind text, p_begin timestamptz, p_end timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    chunk text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'needs READ COMMITTED, to see what was committed before the chunk was locked';
    END IF;
    IF NOT EXISTS (SELECT FROM sensors.lifecycle l WHERE l.kind = p_kind AND p_end <= now() - l.drop_after) THEN
        RAISE EXCEPTION '% until % are not past their time', p_kind, p_end;
    END IF;
    SELECT format('%I.%I', c.chunk_schema, c.chunk_name) INTO STRICT chunk
    FROM timescaledb_information.chunks c
    WHERE c.hypertable_schema = 'sensors' AND c.hypertable_name = p_kind
    AND c.range_start = p_begin AND c.range_end = p_end;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', chunk);
END
$$;

CREATE FUNCTION sensors.drop_chunk(p_kind text, p_begin timestamptz, p_end timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    gone text[] := ARRAY(SELECT drop_chunks(format('sensors.%I', p_kind)::regclass,
        older_than => p_end, newer_than => p_begin));
BEGIN
    IF cardinality(gone) <> 1 THEN
        RAISE EXCEPTION '% from % to % should have been one chunk, not %', p_kind, p_begin, p_end, gone;
    END IF;
    INSERT INTO sensors.dropped (kind, range_start, range_end) VALUES (p_kind, p_begin, p_end);
END
$$;

-- Drops a chunk of readings if it is still what was last verified; tells whether it did.
CREATE FUNCTION sensors.drop_verified(p_begin timestamptz, p_end timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    verified record;
    found_now record;
BEGIN
    PERFORM sensors.lock_due_chunk('measurements', p_begin, p_end);
    SELECT v.readings, v.digest INTO verified
    FROM sensors.verifications v
    WHERE v.range_start = p_begin AND v.range_end = p_end AND v.verified_at > now() - INTERVAL '1 day'
    ORDER BY v.id DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT coalesce(sum(d.readings), 0) AS readings, coalesce(sum(d.digest), 0) AS digest INTO found_now
    FROM sensors.digests(p_begin, p_end) d;
    IF found_now.readings <> verified.readings OR found_now.digest <> verified.digest THEN
        RETURN false;
    END IF;
    PERFORM sensors.drop_chunk('measurements', p_begin, p_end);
    RETURN true;
END
$$;

-- Drops a chunk by its age alone; minutes are first added to the sums of 10 minutes and of an hour. A bucket that
-- has a row already had other minutes: those of two chunks, or readings later than the lifecycle allows for.
CREATE FUNCTION sensors.drop_old(p_kind text, p_begin timestamptz, p_end timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    period record;
BEGIN
    IF p_kind = 'measurements' THEN
        RAISE EXCEPTION 'readings are dropped by sensors.drop_verified alone';
    END IF;
    PERFORM sensors.lock_due_chunk(p_kind, p_begin, p_end);
    IF p_kind = 'sums_1m' THEN
        FOR period IN SELECT * FROM (VALUES ('sums_10m', INTERVAL '10 minutes'), ('sums_1h', INTERVAL '1 hour'))
                          AS p (name, width) LOOP
            EXECUTE format($sql$
                INSERT INTO sensors.%I AS s (bucket, sensor_id, type, readings, minimum, maximum, total, squares,
                    anomalies)
                SELECT time_bucket($1, bucket), sensor_id, type, sum(readings), min(minimum), max(maximum), sum(total),
                    sum(squares), sum(anomalies)
                FROM sensors.sums_1m
                WHERE bucket >= $2 AND bucket < $3
                GROUP BY 1, 2, 3
                ON CONFLICT (sensor_id, type, bucket) DO UPDATE SET
                    readings = s.readings + excluded.readings,
                    minimum = least(s.minimum, excluded.minimum), maximum = greatest(s.maximum, excluded.maximum),
                    total = s.total + excluded.total, squares = s.squares + excluded.squares,
                    anomalies = s.anomalies + excluded.anomalies$sql$, period.name)
            USING period.width, p_begin, p_end;
        END LOOP;
    END IF;
    PERFORM sensors.drop_chunk(p_kind, p_begin, p_end);
END
$$;

REVOKE ALL ON FUNCTION sensors.digests(timestamptz, timestamptz),
    sensors.record_verification(timestamptz, timestamptz, bigint, numeric, text),
    sensors.lock_due_chunk(text, timestamptz, timestamptz), sensors.drop_chunk(text, timestamptz, timestamptz),
    sensors.drop_verified(timestamptz, timestamptz), sensors.drop_old(text, timestamptz, timestamptz) FROM PUBLIC;
GRANT USAGE ON SCHEMA sensors TO sensors_lifecycle;
GRANT SELECT ON sensors.lifecycle TO sensors_lifecycle;
GRANT EXECUTE ON FUNCTION sensors.digests(timestamptz, timestamptz),
    sensors.record_verification(timestamptz, timestamptz, bigint, numeric, text),
    sensors.drop_verified(timestamptz, timestamptz), sensors.drop_old(text, timestamptz, timestamptz)
    TO sensors_lifecycle;
GRANT SELECT ON sensors.lifecycle, sensors.sums_10m, sensors.sums_1h, sensors.dropped, sensors.dropped_1m,
    sensors.verifications TO sensors_reader;
