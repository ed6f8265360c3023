-- What is usual for a sensor at an hour of the day, as sensors-batch learns it from the lake, and rules that flag what
-- is not. A job of before this migration refuses a rule that is `unusual`: replace it before any is enabled.
CREATE TABLE sensors.profile_versions (
    version    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at    timestamptz NOT NULL DEFAULT now(),
    learned    jsonb       NOT NULL
);
COMMENT ON COLUMN sensors.profile_versions.learned IS 'from which readings, and with which limits';

CREATE TABLE sensors.profiles (
    version   bigint           NOT NULL REFERENCES sensors.profile_versions ON DELETE CASCADE,
    sensor_id text             NOT NULL,
    type      text             NOT NULL,
    hour      smallint         NOT NULL CHECK (hour BETWEEN 0 AND 23),
    readings  bigint           NOT NULL CHECK (readings > 0),
    centre    double precision NOT NULL CHECK (centre > '-Infinity' AND centre < 'Infinity'),
    spread    double precision NOT NULL CHECK (spread > 0 AND spread < 'Infinity'),
    PRIMARY KEY (version, sensor_id, type, hour)
);
COMMENT ON COLUMN sensors.profiles.hour IS 'of the event time, in UTC';
COMMENT ON COLUMN sensors.profiles.centre IS 'the median';
COMMENT ON COLUMN sensors.profiles.spread IS
    'median distance from the centre, times 1.4826 (then a normal distribution''s deviation); at least the floor';

ALTER TABLE sensors.anomaly_rules
    DROP CONSTRAINT anomaly_rules_comparison_check,
    ADD CONSTRAINT anomaly_rules_comparison_check CHECK (comparison IN ('above', 'below', 'unusual')),
    ADD CONSTRAINT anomaly_rules_unusual_check CHECK (comparison <> 'unusual' OR threshold > 0);
COMMENT ON COLUMN sensors.anomaly_rules.threshold IS
    'a value in the unit of the type; of an unusual rule: how many spreads away from the centre';

-- One number still says how a reading was judged: a version of the rules names the profile that they went by.
ALTER TABLE sensors.rule_versions ADD COLUMN profile_version bigint REFERENCES sensors.profile_versions;
COMMENT ON COLUMN sensors.rule_versions.profile_version IS
    'null: none of the rules is unusual, or there was no profile, and then they flag nothing';

CREATE OR REPLACE FUNCTION sensors.record_rules() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Without the lock two changes at once would each record a version that lacks the other.
    LOCK TABLE sensors.rule_versions IN SHARE ROW EXCLUSIVE MODE;
    -- A new profile changes no verdict unless a rule goes by it.
    IF TG_RELID = 'sensors.profile_versions'::regclass
        AND NOT EXISTS (SELECT FROM sensors.anomaly_rules r WHERE r.enabled AND r.comparison = 'unusual') THEN
        RETURN NULL;
    END IF;
    INSERT INTO sensors.rule_versions (rules, profile_version)
    SELECT coalesce(jsonb_agg(to_jsonb(r) - 'enabled' ORDER BY r.rule_id), '[]'),
        CASE WHEN bool_or(r.comparison = 'unusual') THEN (SELECT max(p.version) FROM sensors.profile_versions p) END
    FROM sensors.anomaly_rules r
    WHERE r.enabled;
    RETURN NULL;
END
$$;

CREATE TRIGGER record_profile AFTER INSERT ON sensors.profile_versions
FOR EACH STATEMENT EXECUTE FUNCTION sensors.record_rules();

-- The job's account is the one that sensors-batch has too: it learns, and it compares aggregates.
GRANT SELECT, INSERT ON sensors.profile_versions, sensors.profiles TO sensors_job;
GRANT SELECT ON sensors.aggregates_1m, sensors.aggregates_10m, sensors.aggregates_1h TO sensors_job;
GRANT SELECT ON sensors.profile_versions, sensors.profiles TO sensors_reader;
