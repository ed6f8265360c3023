GRANT SELECT ON readings TO trial_reader;
