"""What became of a round's messages: as the topic has them, and as the platform stored and published them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import lake
import probe
import stored
from sensors_oracle.aggregates import PERIODS
from verdict import Found, Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sensors_oracle.stream import Item
    from verdict import Row

READ = Path(__file__).with_name("on_node_read.py").read_text(encoding="utf-8")
PUBLISHED = ("sensors.anomalies", "sensors.rejected")


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 in hex."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def read_topic(
    prefix: str, offsets: Mapping[str, int], items: Sequence[Item]
) -> tuple[list[Seen], dict[str, int]]:
    """Return the round's messages from the offsets on, and where the topic ends."""
    found = probe.kafka(READ, topic=probe.TOPIC, prefix=prefix, offsets=offsets)
    seen = [
        Seen(
            place=(partition, offset),
            index=index,
            appended_at=datetime.fromtimestamp(milliseconds / 1000, UTC),
            intact=[key, value] == [digest(items[index].key), digest(items[index].value)],
        )
        for partition, offset, milliseconds, index, key, value in found["messages"]
    ]
    return seen, found["ends"]


def wait_for_outbox() -> None:
    """Wait until what is in the outbox now has been published."""
    newest = probe.query("SELECT coalesce(max(id), 0) AS id FROM sensors.outbox")[0]["id"]
    left = f"SELECT id FROM sensors.outbox WHERE id <= {newest} LIMIT 1"  # noqa: S608 - our own text
    probe.wait_until("the relay to publish the outbox", lambda: not probe.query(left))


def gather(sensors: probe.Sensors, since: Mapping[str, Mapping[str, int]]) -> Found:
    """Return what the platform made of the messages; `since` are the topics' ends before the round."""
    return Found(
        rows=stored.measurements(sensors.prefix),
        rejects=[(place, row["reason"]) for place, row in sensors.rejects("reason")],
        counts=stored.counts(sensors.prefix),
        anomalies=stored.anomalies(sensors.prefix),
        aggregates={period: stored.aggregates(sensors.prefix, period) for period in PERIODS},
        published=_published(sensors, since),
    )


def _published(
    sensors: probe.Sensors, since: Mapping[str, Mapping[str, int]]
) -> set[tuple[tuple[int, int], str]]:
    anomalies, rejected = (probe.consume(topic, dict(since[topic])) for topic in PUBLISHED)
    found = {
        ((message["partition"], message["offset"]), message["rule_id"])
        for key, message in anomalies
        if key in sensors.types
    }
    own = set(sensors.sent)
    places = {(message["partition"], message["offset"]) for _, message in rejected}
    return found | {(place, "") for place in places & own}


def lake_rows(begin: datetime, prefixes: Iterable[str]) -> dict[str, list[Row]]:
    """Return what the lake has of sensors with these prefixes, a row each message, once it got there."""
    lake.wait()
    found: dict[str, list[Row]] = {prefix: [] for prefix in prefixes}
    for when, sensor, kind, value, *place in lake.history("messages", begin, datetime.now(UTC), "test-*"):
        prefix = sensor.rpartition("-")[0]
        if prefix in found:
            found[prefix].append((sensor, kind, when, value, (place[0], place[1])))
    return found


def wrong_minutes() -> list[str]:
    """Return a line for each minute of any sensor that is not what its raw rows add up to."""
    return [f"sensors.wrong_1m: {row}" for row in probe.query("SELECT * FROM sensors.wrong_1m LIMIT 20")]
