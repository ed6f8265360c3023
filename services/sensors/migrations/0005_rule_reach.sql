-- Rules may name several sensors at once, and leave some out, so that outdoor stations have thresholds of their own.
-- A text that ends in * stands for all ids that begin with what is before it. A job of before this migration takes
-- it for an id, which no sensor has: until it is replaced, it applies none of the new rules to anybody.
ALTER TABLE sensors.anomaly_rules
    ADD COLUMN except_sensor_id text CHECK (except_sensor_id ~ '^[a-z][a-z0-9_.-]{0,63}[*]?$'),
    -- Not held against the rows of before: one that never matched is no reason to stop a deploy.
    ADD CONSTRAINT anomaly_rules_sensor_id_check CHECK (sensor_id ~ '^[a-z][a-z0-9_.-]{0,63}[*]?$') NOT VALID;
COMMENT ON COLUMN sensors.anomaly_rules.sensor_id IS
    'an id, or the beginning of ids and *; null: every sensor of the type';
COMMENT ON COLUMN sensors.anomaly_rules.except_sensor_id IS
    'an id, or the beginning of ids and *, whose sensors the rule leaves out; null: none';

-- Rules for every sensor were made for what there was: none of them now judges the weather.
UPDATE sensors.anomaly_rules SET except_sensor_id = 'weather-*' WHERE sensor_id IS NULL;

INSERT INTO sensors.anomaly_rules (rule_id, type, sensor_id, comparison, threshold, severity) VALUES
    ('weather-temperature-high', 'temperature', 'weather-*', 'above', 32, 'warning'),
    ('weather-temperature-low', 'temperature', 'weather-*', 'below', -10, 'warning'),
    ('weather-pressure-high', 'pressure', 'weather-*', 'above', 1040, 'info'),
    ('weather-pressure-low', 'pressure', 'weather-*', 'below', 990, 'warning');
