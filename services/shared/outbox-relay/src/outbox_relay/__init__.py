"""Publishes the rows of the outbox to their Kafka topics, at least once."""
