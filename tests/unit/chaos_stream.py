"""A short stream, a topic that has it, and what must become of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sensors_oracle.reference import DEFAULT_RULES
from sensors_oracle.stream import Item, scenario
from verdict import Seen, expect

TYPES = {"a-temperature": "temperature", "a-pressure": "pressure", "a-voltage": "voltage"}
NOW = datetime(2026, 11, 1, tzinfo=UTC)
ITEMS = list(scenario(5, 900, TYPES, NOW - timedelta(minutes=10)))


def topic(items: list[Item]) -> list[Seen]:
    """Return the items as a topic of three partitions has them, a sensor in one of them."""
    ends = [0, 0, 0]
    seen = []
    for index, item in enumerate(items):
        known = item.expected.sensor_id
        partition = sorted(TYPES).index(known) if known else index % 3
        seen.append(Seen((partition, ends[partition]), index, NOW))
        ends[partition] += 1
    return seen


SEEN = topic(ITEMS)
EXPECTED = expect(SEEN, ITEMS, DEFAULT_RULES)
