"""Sends seeded sensor readings to Kafka on a fixed schedule, and makes test streams with known verdicts."""
