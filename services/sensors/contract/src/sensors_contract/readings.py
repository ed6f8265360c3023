"""A reading as a Kafka message, for every program that sends some (docs/message-contract.md)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

UNITS = {"temperature": "°C", "pressure": "hPa", "voltage": "V"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = 1000
_SENSOR_ID = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def is_sensor_id(text: str) -> bool:
    """Tell whether the contract accepts `text` as a sensor id."""
    return _SENSOR_ID.fullmatch(text) is not None and text not in ("true", "false", "null")


def encode(sensor_id: str, kind: str, value: float, timestamp: str) -> tuple[bytes, bytes]:
    """Return key and value of the message; `value` is in the unit of the type `kind`."""
    reading = {
        "sensor_id": sensor_id,
        "type": kind,
        "value": value,
        "unit": UNITS[kind],
        "timestamp": timestamp,
    }
    return sensor_id.encode(), json.dumps(reading, ensure_ascii=False, separators=(",", ":")).encode()


def from_micros(moment: int) -> datetime:
    """Return `moment`, in microseconds since 1970, as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=moment)


def format_time(moment: int) -> str:
    """Return `moment`, in microseconds since 1970, as ISO 8601 in UTC; milliseconds where these are exact."""
    precision = "milliseconds" if moment % _MILLISECOND == 0 else "microseconds"
    return from_micros(moment).isoformat(timespec=precision).removesuffix("+00:00") + "Z"
