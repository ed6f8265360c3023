"""Replays hourly weather observations to Kafka as readings of now, at any speed, from where it last was."""
