-- Each service's role gets what its work needs and nothing else.
GRANT USAGE ON SCHEMA sensors TO sensors_job, sensors_relay, sensors_reader;

-- The job: temporary tables for its slow path, rows in, counts and ledger forward; it deletes nothing.
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO sensors_job', current_database());
END
$$;
GRANT SELECT, INSERT ON sensors.measurements, sensors.anomalies, sensors.rejects TO sensors_job;
GRANT INSERT ON sensors.outbox TO sensors_job;
GRANT SELECT, INSERT, UPDATE ON sensors.ledger, sensors.counts TO sensors_job;
GRANT SELECT ON sensors.rule_versions TO sensors_job;

-- The relay: reads, locks and deletes. UPDATE on an identity column is the right to lock, not to change.
GRANT SELECT, DELETE, UPDATE (id) ON sensors.outbox TO sensors_relay;

-- Status page, psql and tests.
GRANT SELECT ON ALL TABLES IN SCHEMA sensors TO sensors_reader;
