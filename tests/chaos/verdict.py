"""What of a round's messages was lost or took effect twice; the topic is the truth, the reference judges.

No I/O. A message that was never acknowledged may be in the topic or not, and one sent again may be there
twice: what is in the topic is what must take effect, once each.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sensors_oracle.aggregates import PERIODS, aggregate
from sensors_oracle.reference import Reference, flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sensors_oracle.aggregates import Key
    from sensors_oracle.reference import Reading, Rule
    from sensors_oracle.stream import Item

Place = tuple[int, int]
"""Partition and offset."""
Row = tuple[str, str, "datetime", float, Place]
"""A stored reading: sensor id, type, event time, value, and the place of its message."""
_OUTCOMES = ("stored", "duplicate", "rejected")


@dataclass(frozen=True)
class Seen:
    """A message in the topic: which of the stream's, the broker's time, and whether its bytes are right."""

    place: Place
    index: int
    appended_at: datetime
    intact: bool = True


@dataclass
class Expected:
    """What must be there, by place; `counts` has stored, duplicates, rejected by partition and sensor."""

    stored: dict[Place, tuple[Reading, tuple[str, ...]]] = field(default_factory=dict)
    rejected: dict[Place, str] = field(default_factory=dict)
    valid: dict[Place, Reading] = field(default_factory=dict)
    """What the lake keeps: also repeated readings, and those that contradict another one."""
    sensors: dict[Place, str] = field(default_factory=dict)
    counts: dict[tuple[int, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0]))

    @property
    def anomalies(self) -> list[list[Any]]:
        """The anomalies as sensors_oracle.stream.summary has them, sorted."""
        return sorted(
            [reading.sensor_id, reading.type, reading.event_time.isoformat(), rule, reading.value]
            for reading, rules in self.stored.values()
            for rule in rules
        )


@dataclass
class Found:
    """What a sink left in its database; None stands for what it does not keep."""

    rows: Sequence[Row]
    rejects: Sequence[tuple[Place, str]]
    counts: Mapping[tuple[int, str], Sequence[int]]
    anomalies: Sequence[Sequence[Any]] | None = None
    aggregates: Mapping[str, Mapping[Key, Mapping[str, Any]]] | None = None
    published: set[tuple[Place, str]] | None = (
        None  # place and rule of an anomaly, or place and "" of a reject
    )


@dataclass(frozen=True)
class Verdict:
    """Numbers of messages lost and doubled, of other differences, and a line for each of all these."""

    lost: int
    doubled: int
    wrong: int
    details: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Tell whether nothing was lost, doubled or otherwise wrong."""
        return not (self.lost or self.doubled or self.wrong or self.details)


def expect(seen: Iterable[Seen], items: Sequence[Item], rules: Sequence[Rule]) -> Expected:
    """Judge the topic's messages by the order of places, in which the messages of each sensor came."""
    reference, expected = Reference(), Expected()
    for message in sorted(seen, key=lambda one: one.place):
        judged = reference.judge(items[message.index].value, message.appended_at)
        expected.sensors[message.place] = judged.sensor_id
        if judged.sensor_id:
            counts = expected.counts[message.place[0], judged.sensor_id]
            counts[_OUTCOMES.index(judged.outcome)] += 1
        if judged.kept:
            expected.valid[message.place] = judged.kept
        if judged.outcome == "stored" and judged.reading:
            expected.stored[message.place] = (judged.reading, flags(judged.reading, rules))
        elif judged.reason:
            expected.rejected[message.place] = judged.reason
    return expected


def absent(acknowledged: Mapping[int, Place], seen: Iterable[Seen]) -> list[str]:
    """Return a line for each acknowledged message that the topic does not have, whole, where the broker said.

    An offset below zero: the broker took the message before, and has forgotten where.
    """
    there = {(message.place, message.index) for message in seen if message.intact}
    anywhere = {index for _, index in there}
    return [
        f"message {index} was acknowledged at {place} and is not in the topic there"
        for index, place in sorted(acknowledged.items())
        if ((place, index) not in there if place[1] >= 0 else index not in anywhere)
    ]


def compare(expected: Expected, found: Found) -> Verdict:
    """Hold what a sink left against what must be there."""
    lost, doubled = Counter[tuple[int, str]](), Counter[tuple[int, str]]()
    wrong: list[str] = []
    details: list[str] = []

    def note(counter: Counter[tuple[int, str]], place: Place, text: str) -> None:
        counter[place[0], expected.sensors.get(place, "?")] += 1
        details.append(f"{place}: {text}")

    rows = Counter(row[4] for row in found.rows)
    rejects = Counter(place for place, _ in found.rejects)
    for name, wanted, there in (("reading", expected.stored, rows), ("reject", expected.rejected, rejects)):
        for place in sorted(set(wanted) - set(there)):
            note(lost, place, f"the {name} is not there")
        for place, times in sorted(there.items()):
            for _ in range(times - (1 if place in wanted else 0)):
                note(doubled, place, f"the {name} is there {times} times, not {1 if place in wanted else 0}")
    wrong += [
        f"{row[4]}: stored as {row[:4]}"
        for row in found.rows
        if row[4] in expected.stored and _row(expected.stored[row[4]][0]) != row[:4]
    ]
    wrong += [
        f"{place}: rejected for {reason}"
        for place, reason in found.rejects
        if place in expected.rejected and reason != expected.rejected[place]
    ]
    # A duplicate leaves nothing but its count, and an effect may be counted twice whose row is there once.
    for key in sorted({*expected.counts, *found.counts}):
        want, have = tuple(expected.counts.get(key, (0, 0, 0))), tuple(found.counts.get(key, (0, 0, 0)))
        if want != have:
            wrong.append(f"{key}: counted (stored, duplicates, rejected) {have}, not {want}")
        lost[key] = max(lost[key], sum(want) - sum(have))
        doubled[key] = max(doubled[key], sum(have) - sum(want))
    wrong += _derived(expected, found)
    return Verdict(lost.total(), doubled.total(), len(wrong), (*details, *wrong))


def compare_lake(valid: Mapping[Place, Reading], rows: Iterable[Row]) -> Verdict:
    """Hold the lake's rows, a message each, against the valid messages."""
    there: dict[Place, list[Row]] = defaultdict(list)
    for row in rows:
        there[row[4]].append(row)
    lost = sorted(set(valid) - set(there))
    doubled = {
        place: len(found) - (1 if place in valid else 0)
        for place, found in sorted(there.items())
        if len(found) > (1 if place in valid else 0)
    }
    wrong = [
        f"{place}: in the lake as {row[:4]}"
        for place, reading in valid.items()
        for row in there.get(place, ())
        if row[:4] != _row(reading)
    ]
    details = [f"{place}: not in the lake" for place in lost]
    details += [f"{place}: in the lake {more} times too often" for place, more in doubled.items()]
    return Verdict(len(lost), sum(doubled.values()), len(wrong), (*details, *wrong))


def _row(reading: Reading) -> tuple[str, str, datetime, float]:
    return reading.sensor_id, reading.type, reading.event_time, reading.value


def _derived(expected: Expected, found: Found) -> list[str]:
    """Return what is wrong with anomalies, aggregates and published messages, where a sink has them."""
    wrong: list[str] = []
    if found.anomalies is not None and sorted(map(list, found.anomalies)) != expected.anomalies:
        wrong.append(f"{len(found.anomalies)} anomalies, other than the {len(expected.anomalies)} expected")
    if found.published is not None:
        due = {(place, rule) for place, (_, rules) in expected.stored.items() for rule in rules}
        due |= {(place, "") for place in expected.rejected}
        wrong += [
            f"{place}: {rule or 'the reject'} was never published"
            for place, rule in sorted(due - found.published)
        ]
    for name, rows in (found.aggregates or {}).items():
        flagged = [(reading, len(rules)) for reading, rules in expected.stored.values()]
        made = aggregate(flagged, PERIODS[name])
        wrong += [
            f"aggregate over {name} of {key} is {dict(rows.get(key, {}))}"
            for key in sorted({*made, *rows})
            if key not in made or key not in rows or not _same(asdict(made[key]), rows[key])
        ]
    return wrong


def _same(made: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Tell whether two aggregates are equal but for the last digits of mean and deviation."""
    return made.keys() == row.keys() and all(
        math.isclose(value, row[name], rel_tol=1e-6)
        if name in {"mean", "deviation"} and value is not None and row[name] is not None
        else value == row[name]
        for name, value in made.items()
    )
