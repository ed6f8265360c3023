"""What end-to-end tests ask the lake, through the command that `make history` runs."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import TYPE_CHECKING

import probe

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensors_oracle.stream import Item

JOB = probe.ENVIRONMENT.catalogue.services["sensors-job"]
Row = tuple[datetime, str, str, float, int, int]
"""Event time, sensor id, type, value, and the message's partition and offset."""


def there() -> bool:
    """Tell whether this environment has a lake: one without HDFS has none."""
    return bool(probe.ENVIRONMENT.topology.members("hdfs_namenode"))


def job_metrics(prefix: str) -> dict[str, float]:
    """Return the job's metrics that begin so, by name and labels."""
    port = JOB.ports["http"].first
    text = remote.run(probe.APPS, ["curl", "-sf", "--noproxy", "*", f"http://127.0.0.1:{port}/metrics"])
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(prefix))
    return {name: float(value) for name, value in pairs}


def lake_metrics() -> dict[str, float]:
    """Return the lake's metrics of the job, by name and labels."""
    return job_metrics("sensors_lake_")


def next_offsets() -> dict[int, int]:
    """Return the offsets that the lake has come to, by partition."""
    return {
        int(name.split('"')[1]): int(value)
        for name, value in lake_metrics().items()
        if name.startswith("sensors_lake_next_offset{")
    }


def history(source: str, begin: datetime, end: datetime, sensor: str | None = None) -> list[Row]:
    """Return what `make history` prints, as rows."""
    command = ["sudo", "sensors-history", "--source", source]
    command += ["--from", begin.isoformat(), "--to", end.isoformat()]
    command += ["--sensor", sensor] if sensor else []
    rows = csv.DictReader(io.StringIO(remote.run(probe.APPS, command)))
    return [
        (
            datetime.fromisoformat(row["event_time"]),
            row["sensor_id"],
            row["type"],
            float(row["value"]),
            int(row["source_partition"]),
            int(row["source_offset"]),
        )
        for row in rows
    ]


def wait() -> dict[int, int]:
    """Wait until the lake has come to where the database is now; return how far it is."""
    target = probe.ledger()

    def there() -> bool:
        found = next_offsets()
        return bool(found) and all(found.get(partition, 0) >= offset for partition, offset in target.items())

    probe.wait_until("the lake to come to where the database is", there)
    return next_offsets()


def messages(items: Iterable[Item], places: Iterable[tuple[int, int]]) -> list[Row]:
    """Return the rows that the lake must have of a stream: each valid message as often as it was sent."""
    return [
        (reading.event_time, reading.sensor_id, reading.type, reading.value, *place)
        for item, place in zip(items, places, strict=True)
        if (reading := item.expected.kept)
    ]
