CREATE TABLE readings (event_time timestamptz NOT NULL, value double precision NOT NULL);
SELECT create_hypertable('readings', 'event_time', chunk_time_interval => INTERVAL '1 day');
