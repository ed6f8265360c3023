"""A reading as a Kafka message."""

from __future__ import annotations

import json

from sensors_generator.signals import PROFILES


def encode(sensor_id: str, kind: str, value: float, timestamp: str) -> tuple[bytes, bytes]:
    """Return key and value of the message; `value` is in the unit of the type `kind`."""
    reading = {
        "sensor_id": sensor_id,
        "type": kind,
        "value": value,
        "unit": PROFILES[kind].unit,
        "timestamp": timestamp,
    }
    return sensor_id.encode(), json.dumps(reading, ensure_ascii=False, separators=(",", ":")).encode()
