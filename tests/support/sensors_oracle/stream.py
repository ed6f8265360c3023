"""Test streams: messages by a known seed, some invalid, duplicated, conflicting or late, with their verdicts.

The verdict follows from how a message was made, not from judging it, so that it checks the reference
(`sensors_oracle.reference`) as well as the Spark job.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sensors_generator.signals import STEPS, readings
from sensors_oracle.invalid import Invalid, dump, iso, variants
from sensors_oracle.reference import (
    DEFAULT_RULES,
    UNITS,
    UNKNOWN_SENSOR,
    Limits,
    Reading,
    Rule,
    Verdict,
    flags,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

STEP = timedelta(milliseconds=200)


@dataclass(frozen=True)
class Shares:
    """What share (0 to 1) of the messages is what; the rest are plain readings in order of time."""

    invalid: float = 0.1
    duplicate: float = 0.05
    conflicting: float = 0.02
    late: float = 0.05
    anomalous: float = 0.05


@dataclass(frozen=True)
class Item:
    """One message and what must become of it.

    `duplicate_of` is the index in the stream of the message that it repeats or contradicts, `note` tells how
    it was made.
    """

    key: bytes | None
    value: bytes | None
    expected: Verdict
    rules: tuple[str, ...] = ()
    duplicate_of: int | None = None
    note: str = ""


def span(count: int, sensors: int) -> timedelta:
    """Return how far after `start` the last event time of such a stream lies."""
    return STEP * -(-count // max(sensors, 1))


def scenario(  # noqa: PLR0913 - a stream has this many properties, all but four with defaults
    seed: int,
    count: int,
    sensors: Mapping[str, str],
    start: datetime,
    *,
    shares: Shares = Shares(),
    limits: Limits = Limits(),  # noqa: B008 - immutable
    rules: tuple[Rule, ...] = DEFAULT_RULES,
    huge_bytes: int = 0,
) -> Iterator[Item]:
    """Yield `count` messages of `sensors` (id -> type); the same arguments give the same messages.

    Plain event times run from `start` (UTC, whole milliseconds) to start + span(); late ones lie up to 9 days
    before. The verdicts hold while start + span() is at most a minute ahead and `start` at most 10 days past.
    With `huge_bytes` the first too large message has that many bytes (as in 5 MB of anything).
    """
    maker = _Maker(random.Random(f"scenario/{seed}"), sensors, shares, limits, rules, huge_bytes)  # noqa: S311 - no secret
    series = {name: readings(seed, name, kind, shares.anomalous) for name, kind in sensors.items()}
    names = sorted(sensors)
    for index in range(count):
        sensor = names[index % len(names)]
        yield maker.make(sensor, next(series[sensor]), start + STEP * (index // len(names)))


@dataclass
class _Maker:
    rng: random.Random
    sensors: Mapping[str, str]
    shares: Shares
    limits: Limits
    rules: tuple[Rule, ...]
    huge_bytes: int
    index: int = -1
    late: int = 0
    # (index in the stream, reading) of what was stored, by sensor, to repeat or contradict
    stored: dict[str, list[tuple[int, Reading]]] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)

    def make(self, sensor: str, value: float, when: datetime) -> Item:
        self.index += 1
        draw = self.rng.random()
        shares, earlier = self.shares, self.stored.get(sensor, [])
        if draw < shares.invalid:
            return self._invalid(sensor, value, when)
        draw -= shares.invalid
        if earlier and draw < shares.duplicate + shares.conflicting:
            # Mostly of the last ones, as a retrying device would; now and then of any.
            first = self.rng.choice(earlier if self.rng.random() < 0.3 else earlier[-5:])
            return self._again(*first, conflicting=draw >= shares.duplicate)
        draw -= shares.duplicate + shares.conflicting
        if 0 <= draw < shares.late:
            self.late += 1
            # Odd microseconds: never the event time of another message.
            back = timedelta(seconds=self.rng.uniform(60, 9 * 86_400))
            when = (when - back).replace(microsecond=0) + timedelta(microseconds=self.late % 1_000_000 or 1)
            return self._stored(sensor, value, when, "late")
        return self._stored(sensor, value, when, "plain")

    def _stored(self, sensor: str, value: float, when: datetime, note: str) -> Item:
        reading = Reading(sensor, self.sensors[sensor], value, when)
        self.stored.setdefault(sensor, []).append((self.index, reading))
        text = iso(when, "microseconds" if note == "late" else "milliseconds")
        message = dump(_message(reading, text))
        return Item(
            sensor.encode(),
            message,
            Verdict("stored", sensor, None, reading),
            flags(reading, self.rules),
            None,
            note,
        )

    def _again(self, index: int, reading: Reading, *, conflicting: bool) -> Item:
        """Repeat or contradict a stored reading: the time in six digits, the fields in another order."""
        value = reading.value + (self.rng.choice((-1, 1)) / STEPS if conflicting else 0)
        again = Reading(reading.sensor_id, reading.type, value, reading.event_time)
        text = iso(reading.event_time, "microseconds")
        message = dump(dict(reversed(_message(again, text).items())) | {"attempt": 2})
        outcome = (
            Verdict("rejected", reading.sensor_id, "conflicting_value", again)
            if conflicting
            else Verdict("duplicate", reading.sensor_id, None, again)
        )
        note = "conflicting" if conflicting else "duplicate"
        return Item(reading.sensor_id.encode(), message, outcome, (), index, note)

    def _invalid(self, sensor: str, value: float, when: datetime) -> Item:
        made = {
            v.name: v
            for v in variants(
                _message(Reading(sensor, self.sensors[sensor], value, when), iso(when)), self.limits
            )
        }
        chosen = self._next_variant(made)
        content = chosen.value
        if chosen.reason == "too_large" and self.huge_bytes:
            content, self.huge_bytes = self.rng.randbytes(self.huge_bytes), 0
        # The key isn't judged: it may be absent or anything (but Kafka's client wants a key or a value).
        key = self.rng.choice(
            (sensor.encode(), sensor.encode(), b"\xff\x00", None if content is not None else b"k")
        )
        known = sensor if chosen.attributed else UNKNOWN_SENSOR
        return Item(key, content, Verdict("rejected", known, chosen.reason), (), None, chosen.name)

    def _next_variant(self, made: Mapping[str, Invalid]) -> Invalid:
        """Take the variants in turn by a shuffled order, so that a long stream has each of them."""
        for place, name in enumerate(self.queue):
            if name in made:
                return made[self.queue.pop(place)]
        self.queue = self.rng.sample(sorted(made), len(made))
        return made[self.queue.pop(0)]


def _message(reading: Reading, timestamp: str) -> dict[str, Any]:
    return {
        "sensor_id": reading.sensor_id,
        "type": reading.type,
        "value": reading.value,
        "unit": UNITS[reading.type],
        "timestamp": timestamp,
    }


def summary(items: Iterable[Item]) -> dict[str, Any]:
    """Return what must be in the database after `items`: counts per sensor, reasons, anomalies.

    {"sensors": {id: {"produced", "stored", "duplicates", "rejected"}}, "reasons": {reason: count},
    "anomalies": sorted [sensor_id, type, event time in ISO 8601, rule_id, value]}
    """
    sensors: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    anomalies = []
    columns = {"stored": "stored", "duplicate": "duplicates", "rejected": "rejected"}
    for item in items:
        verdict = item.expected
        sensors.setdefault(verdict.sensor_id, Counter()).update(["produced", columns[verdict.outcome]])
        if verdict.reason:
            reasons[verdict.reason] += 1
        reading = verdict.reading
        if reading is not None:
            anomalies += [
                [reading.sensor_id, reading.type, reading.event_time.isoformat(), rule, reading.value]
                for rule in item.rules
            ]
    names = ("produced", "stored", "duplicates", "rejected")
    return {
        "sensors": {
            sensor: {name: counts[name] for name in names} for sensor, counts in sorted(sensors.items())
        },
        "reasons": dict(sorted(reasons.items())),
        "anomalies": sorted(anomalies),
    }
