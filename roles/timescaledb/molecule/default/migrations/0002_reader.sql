DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO trial_reader', current_database());
END
$$;
GRANT SELECT ON readings TO trial_reader;
