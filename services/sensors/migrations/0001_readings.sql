-- What the sensors job writes: readings, anomalies, rejects, the outbox, and the ledger that makes a batch
-- take effect exactly once. Run by sensors_owner, who owns the database; the extension is the role's work.
CREATE SCHEMA IF NOT EXISTS sensors;

-- A reading is identified by (sensor_id, type, event_time). The unit follows from the type.
CREATE TABLE sensors.measurements (
    event_time       timestamptz      NOT NULL,
    sensor_id        text             NOT NULL,
    type             text             NOT NULL,
    value            double precision NOT NULL,
    source_partition integer          NOT NULL,
    source_offset    bigint           NOT NULL,
    appended_at      timestamptz      NOT NULL,
    processed_at     timestamptz      NOT NULL DEFAULT now(),
    delay_ms         bigint           NOT NULL GENERATED ALWAYS AS
        ((extract(epoch FROM (processed_at - event_time)) * 1000)::bigint) STORED,
    weekday          smallint         NOT NULL,
    hour             smallint         NOT NULL,
    business_hours   boolean          NOT NULL,
    rules_version    bigint           NOT NULL,
    CONSTRAINT measurements_identity UNIQUE (sensor_id, type, event_time)
);
COMMENT ON COLUMN sensors.measurements.weekday IS 'ISO 1 (Monday) to 7, in the zone of the business hours';
COMMENT ON COLUMN sensors.measurements.hour IS '0 to 23, in the zone of the business hours';
COMMENT ON COLUMN sensors.measurements.appended_at IS 'when the broker took the message (LogAppendTime)';
SELECT create_hypertable('sensors.measurements', 'event_time',
    chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
-- Readings arrive nearly in order of time: a BRIN index finds a period and costs the COPY next to nothing.
CREATE INDEX measurements_event_time ON sensors.measurements USING brin (event_time) WITH (pages_per_range = 32);

CREATE TABLE sensors.anomalies (
    event_time       timestamptz      NOT NULL,
    sensor_id        text             NOT NULL,
    type             text             NOT NULL,
    value            double precision NOT NULL,
    rule_id          text             NOT NULL,
    severity         text             NOT NULL,
    threshold        double precision NOT NULL,
    rules_version    bigint           NOT NULL,
    source_topic     text             NOT NULL,
    source_partition integer          NOT NULL,
    source_offset    bigint           NOT NULL,
    detected_at      timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT anomalies_identity UNIQUE (sensor_id, type, event_time, rule_id)
);
SELECT create_hypertable('sensors.anomalies', 'event_time', chunk_time_interval => INTERVAL '7 days');

CREATE TABLE sensors.rejects (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason           text        NOT NULL,
    sensor_id        text        NOT NULL,
    source_topic     text        NOT NULL,
    source_partition integer     NOT NULL,
    source_offset    bigint      NOT NULL,
    appended_at      timestamptz NOT NULL,
    key              bytea,
    value            bytea,
    rejected_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rejects_source UNIQUE (source_topic, source_partition, source_offset)
);
COMMENT ON COLUMN sensors.rejects.sensor_id IS 'empty when the message names no well-formed sensor';

-- Messages that the relay still has to publish; it deletes what the brokers have acknowledged.
CREATE TABLE sensors.outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text        NOT NULL,
    key        text        NOT NULL,
    value      text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The next offset to take effect, one row a partition. Locked first and advanced last by every task.
CREATE TABLE sensors.ledger (
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL CHECK (next_offset >= 0),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- produced = stored + duplicates + rejected. By partition, so that no two tasks update one row.
CREATE TABLE sensors.counts (
    topic      text    NOT NULL,
    partition  integer NOT NULL,
    sensor_id  text    NOT NULL,
    stored     bigint  NOT NULL DEFAULT 0,
    duplicates bigint  NOT NULL DEFAULT 0,
    rejected   bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition, sensor_id)
) WITH (fillfactor = 50);

CREATE VIEW sensors.totals AS
SELECT sensor_id,
       sum(stored)::bigint     AS stored,
       sum(duplicates)::bigint AS duplicates,
       sum(rejected)::bigint   AS rejected
FROM sensors.counts
GROUP BY sensor_id;
