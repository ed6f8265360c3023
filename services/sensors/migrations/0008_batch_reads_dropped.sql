-- What was dropped on purpose is no difference between lake and database: sensors-batch, which has the job's account,
-- leaves it out of the comparison.
GRANT SELECT ON sensors.dropped TO sensors_job;
