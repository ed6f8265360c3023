"""When messages took effect, from watching the ledger: throughput and latency. No I/O.

A partition's ledger row and its readings are written by one transaction, so a reading becomes visible at the
moment at which the ledger passes its offset. The watch (on_node_watch.py) stamps each change after it has
seen it: what is computed here is too late by up to its interval, and never too early.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Change = tuple[float, int, int]
"""Seconds since 1970, partition, and the next offset that the ledger had then."""
Reading = tuple[float, int, int]
"""Event time in seconds since 1970, partition, offset."""
SMALL_SHARE = 0.1
"""Of a partition's messages: more than that was no batch that was held as the first of them came."""


class MeasurementError(Exception):
    """What was observed does not allow the figure that it was observed for."""


@dataclass(frozen=True)
class Window:
    """A period in which the job always had messages to take: how many it wrote, in how many seconds."""

    messages: int
    seconds: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def saturated(changes: Sequence[Change], held: Mapping[int, int], ends: Mapping[int, int]) -> Window:
    """Return the window in which the job drained its backlog.

    `held` has the offsets at which the job was held until all messages up to `ends` were in the topic. The
    batch that was held has the first few messages of some partitions, or of all. The window begins when these
    have been committed and ends with the last commit: whatever is in it was waiting when it began, so the
    producer has no part in it. MeasurementError where the job did not get there, or took most at once.
    """
    ours = [change for change in sorted(changes) if change[1] in held and change[2] > held[change[1]]]
    begin = _begin(ours, held, ends)
    newest = dict(held)
    left = 0
    for moment, partition, offset in ours:
        newest[partition] = max(offset, newest[partition])
        if moment <= begin:
            left = sum(ends[one] - newest[one] for one in held)
        if all(newest[one] >= ends[one] for one in held):
            if moment > begin:
                return Window(left, moment - begin)
            break
    message = f"the job came to {newest}, not later to {dict(ends)}"
    raise MeasurementError(message)


def _begin(ours: Iterable[Change], held: Mapping[int, int], ends: Mapping[int, int]) -> float:
    """Return when the batch that was held had been committed: the last of the first steps that are small."""
    firsts: dict[int, Change] = {}
    for change in ours:
        firsts.setdefault(change[1], change)
    moments = [
        moment
        for moment, partition, offset in firsts.values()
        if offset - held[partition] <= SMALL_SHARE * (ends[partition] - held[partition])
    ]
    if not moments:
        message = f"no partition began with a few messages ({firsts}): there was no backlog"
        raise MeasurementError(message)
    return max(moments)


def latencies(readings: Iterable[Reading], changes: Iterable[Change]) -> list[float]:
    """Return the seconds from each reading's event time to the moment at which it was seen to be visible.

    MeasurementError for a reading that was there before the watch began, or not at its end.
    """
    moments: dict[int, list[float]] = {}
    offsets: dict[int, list[int]] = {}
    for moment, partition, offset in sorted(changes):
        moments.setdefault(partition, []).append(moment)
        offsets.setdefault(partition, []).append(offset)
    found = []
    for event_time, partition, offset in readings:
        index = bisect_right(offsets.get(partition, []), offset)
        # The first change is what the watch found as it began: it says nothing about when.
        if index == 0 or index == len(offsets[partition]):
            message = f"the reading at {partition}/{offset} became visible while nobody watched"
            raise MeasurementError(message)
        found.append(moments[partition][index] - event_time)
    return found


def first_change(changes: Iterable[Change], after: float) -> float | None:
    """Return the moment of the first commit after the moment `after`; None if there was none yet."""
    return min((moment for moment, _, _ in changes if moment > after), default=None)


def spans(begin: float, seconds: float, count: int) -> list[tuple[float, float]]:
    """Return `count` periods of `seconds`, one after another from `begin`."""
    return [(begin + number * seconds, begin + (number + 1) * seconds) for number in range(count)]


def within(readings: Sequence[Reading], period: tuple[float, float]) -> Sequence[Reading]:
    """Return those of the readings, in order of event time, that lie in the period, its end excluded."""
    times = [reading[0] for reading in readings]
    return readings[bisect_left(times, period[0]) : bisect_left(times, period[1])]
