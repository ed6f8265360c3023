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
LEAST_SHARE = 0.5


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
    window begins when the batch that was held has been committed in every partition, and ends with the last
    commit: whatever is in it was waiting when it began, so the producer has no part in it.
    MeasurementError where the job did not get there, or hardly anything was left to drain.
    """
    newest: dict[int, int] = dict(held)
    begin: float | None = None
    left = 0
    for moment, partition, offset in sorted(changes):
        if partition not in held:
            continue
        newest[partition] = max(offset, newest[partition])
        if begin is None and all(newest[one] > held[one] for one in held if ends[one] > held[one]):
            begin, left = moment, sum(ends[one] - newest[one] for one in held)
        if begin is not None and all(newest[one] >= ends[one] for one in held):
            return _window(left, sum(ends[one] - held[one] for one in held), moment - begin)
    message = f"the job came to {newest}, not to {dict(ends)}"
    raise MeasurementError(message)


def _window(left: int, total: int, seconds: float) -> Window:
    if left < LEAST_SHARE * total or seconds <= 0:
        message = f"of {total} messages {left} were left when the job was let go: that is no backlog"
        raise MeasurementError(message)
    return Window(left, seconds)


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
