-- Anomaly rules are data: change rows here while the job runs; it reads the newest version before each batch.
CREATE TABLE sensors.anomaly_rules (
    rule_id    text             PRIMARY KEY CHECK (rule_id ~ '^[a-z][a-z0-9_-]{0,63}$'),
    type       text             NOT NULL CHECK (type <> ''),
    sensor_id  text,
    comparison text             NOT NULL CHECK (comparison IN ('above', 'below')),
    threshold  double precision NOT NULL CHECK (threshold > '-Infinity' AND threshold < 'Infinity'),
    severity   text             NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    enabled    boolean          NOT NULL DEFAULT true
);
COMMENT ON COLUMN sensors.anomaly_rules.sensor_id IS 'null: every sensor of the type';

-- Every set of rules that ever judged a reading; measurements and anomalies name the version.
CREATE TABLE sensors.rule_versions (
    version    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at timestamptz NOT NULL DEFAULT now(),
    rules      jsonb       NOT NULL
);

CREATE FUNCTION sensors.record_rules() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Without the lock two changes at once would each record a version that lacks the other.
    LOCK TABLE sensors.rule_versions IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO sensors.rule_versions (rules)
    SELECT coalesce(jsonb_agg(to_jsonb(r) - 'enabled' ORDER BY r.rule_id), '[]')
    FROM sensors.anomaly_rules r
    WHERE r.enabled;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION sensors.record_rules() FROM PUBLIC;

CREATE TRIGGER record_rules AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON sensors.anomaly_rules
FOR EACH STATEMENT EXECUTE FUNCTION sensors.record_rules();

INSERT INTO sensors.anomaly_rules (rule_id, type, comparison, threshold, severity) VALUES
    ('temperature-high', 'temperature', 'above', 35, 'warning'),
    ('pressure-low', 'pressure', 'below', 950, 'warning'),
    ('voltage-low', 'voltage', 'below', 220, 'critical'),
    ('voltage-high', 'voltage', 'above', 240, 'critical');
