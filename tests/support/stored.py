"""What the database holds of a test's sensors (all whose ids begin with a prefix), as the oracle puts it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import probe
import pytest
from sensors_oracle.aggregates import PERIODS, aggregate

if TYPE_CHECKING:
    from sensors_oracle.aggregates import Key
    from sensors_oracle.stream import Item

# S608 throughout: the statements are our own text, and so are the prefixes.


def measurements(
    prefix: str, database: str = probe.SENSORS
) -> list[tuple[str, str, datetime, float, tuple[int, int]]]:
    """Return the rows as (sensor id, type, event time, value, (partition, offset))."""
    rows = probe.query(
        "SELECT sensor_id, type, event_time, value, source_partition, source_offset "  # noqa: S608
        f"FROM sensors.measurements WHERE sensor_id LIKE '{prefix}-%'",
        database,
    )
    return [
        (
            row["sensor_id"],
            row["type"],
            datetime.fromisoformat(row["event_time"]),
            row["value"],
            (row["source_partition"], row["source_offset"]),
        )
        for row in rows
    ]


def anomalies(prefix: str) -> list[list[Any]]:
    """Return the rows as sensors_oracle.stream.summary has them, sorted."""
    rows = probe.query(
        "SELECT sensor_id, type, event_time, rule_id, value FROM sensors.anomalies "  # noqa: S608
        f"WHERE sensor_id LIKE '{prefix}-%'"
    )
    return sorted(
        [
            row["sensor_id"],
            row["type"],
            datetime.fromisoformat(row["event_time"]).isoformat(),
            row["rule_id"],
            row["value"],
        ]
        for row in rows
    )


def aggregates(prefix: str, period: str) -> dict[Key, dict[str, Any]]:
    """Return the rows of one of sensors_oracle.aggregates.PERIODS by sensor id, type and begin."""
    rows = probe.query(
        "SELECT sensor_id, type, bucket, readings, minimum, maximum, mean, deviation, anomalies "  # noqa: S608
        f"FROM sensors.aggregates_{period} WHERE sensor_id LIKE '{prefix}-%'"
    )
    return {
        (row.pop("sensor_id"), row.pop("type"), datetime.fromisoformat(row.pop("bucket"))): row
        for row in rows
    }


def counts(prefix: str, database: str = probe.SENSORS) -> dict[tuple[int, str], tuple[int, int, int]]:
    """Return (stored, duplicates, rejected) by partition and sensor id."""
    rows = probe.query(
        "SELECT partition, sensor_id, stored, duplicates, rejected FROM sensors.counts "  # noqa: S608
        f"WHERE topic = '{probe.TOPIC}' AND sensor_id LIKE '{prefix}-%'",
        database,
    )
    return {
        (row["partition"], row["sensor_id"]): (row["stored"], row["duplicates"], row["rejected"])
        for row in rows
    }


def check_aggregates(prefix: str, items: list[Item]) -> None:
    """Check that the aggregates of every period are those of the stored readings, late ones included."""
    accepted = [
        (reading, len(item.rules))
        for item in items
        if item.expected.outcome == "stored" and (reading := item.expected.reading)
    ]
    for name, period in PERIODS.items():
        # Sums are exact; only the last digit of what is derived from them may differ.
        expected = {
            key: asdict(made) | {"mean": pytest.approx(made.mean), "deviation": pytest.approx(made.deviation)}
            for key, made in aggregate(accepted, period).items()
        }
        assert aggregates(prefix, name) == expected, name
