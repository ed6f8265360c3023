-- Native policies of TimescaleDB's Community edition, made anew from sensors.lifecycle at each deploy: the role
-- timescaledb runs this as sensors_owner where that edition is (docs/data-lifecycle.md), and nowhere else, as the
-- Apache edition refuses it.
DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN
        SELECT l.kind, l.compress_after, l.drop_after, h.compression_enabled, d.column_name,
               format('sensors.%I', l.kind)::regclass AS hypertable
        FROM sensors.lifecycle l
        JOIN timescaledb_information.hypertables h ON h.hypertable_schema = 'sensors' AND h.hypertable_name = l.kind
        JOIN timescaledb_information.dimensions d ON d.hypertable_schema = 'sensors' AND d.hypertable_name = l.kind
    LOOP
        IF NOT policy.compression_enabled AND policy.compress_after IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s SET (timescaledb.compress, timescaledb.compress_segmentby = %L, '
                'timescaledb.compress_orderby = %L)', policy.hypertable, 'sensor_id, type', policy.column_name);
        END IF;
        PERFORM remove_compression_policy(policy.hypertable, if_exists => true);
        IF policy.compress_after IS NOT NULL THEN
            PERFORM add_compression_policy(policy.hypertable, compress_after => policy.compress_after);
        END IF;

        PERFORM remove_retention_policy(policy.hypertable, if_exists => true);
        -- Readings go only where the lake holds them, minutes only with their sums, and with anomalies it is recorded
        -- where minutes can't be recomputed: sensors-lifecycle drops these in both editions.
        IF policy.drop_after IS NOT NULL AND policy.kind IN ('sums_10m', 'sums_1h') THEN
            PERFORM add_retention_policy(policy.hypertable, drop_after => policy.drop_after);
        END IF;
    END LOOP;
END
$$;
