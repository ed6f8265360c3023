"""Millrace's sensors job: Kafka → Spark → TimescaleDB, each message taking effect exactly once."""
