"""Which hour is due when: hours are counted from 0 without end, and the table is repeated under them.

All times are whole microseconds since 1970. Nothing here looks at a clock or a disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sensors_contract.readings import encode, format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensors_replay.table import Table

_SECOND = 1_000_000


@dataclass(frozen=True)
class Timeline:
    """Hour number `hour` is due at `time`, each later one `interval` after the one before it."""

    hour: int
    time: int
    interval: int

    def at(self, hour: int) -> int:
        """Return when `hour` is due, which is the event time of its readings."""
        return self.time + (hour - self.hour) * self.interval

    def due(self, now: int) -> int:
        """Return the first hour that is not due yet."""
        return self.hour + (now - self.time) // self.interval + 1


@dataclass(frozen=True)
class Progress:
    """All before hour `first` is acknowledged; from there to before `until`, readings may have been sent.

    Sent again they must be the same, so the timeline that they were sent by belongs to it.
    """

    timeline: Timeline
    first: int
    until: int


def next_second(now: int) -> int:
    """Return the first whole second after `now`."""
    return (now // _SECOND + 1) * _SECOND


def go_on(timeline: Timeline, hour: int, interval: int, now: int, max_lag: int) -> Timeline:
    """Return by which timeline to send `hour` and what follows, the hour before having gone by `timeline`.

    That is `timeline` itself, so that a short stop leaves no trace: what it missed is sent late, at the times
    it would have had. With another interval, or more than `max_lag` late, the table goes on from now. The
    times grow in any case, also where the clock was set back.
    """
    if timeline.interval == interval and now - timeline.at(hour) <= max_lag:
        return timeline
    return Timeline(hour, next_second(max(now, timeline.at(hour - 1))), interval)


def messages(table: Table, prefix: str, batch: Progress) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of the readings from hour `first` to before `until`, in order of time.

    The sensors are called by the prefix, the station and the type: weather-ewr-temperature.
    """
    for hour in range(batch.first, batch.until):
        timestamp = format_time(batch.timeline.at(hour))
        for seen in table.hours[hour % len(table.hours)]:
            yield encode(f"{prefix}{seen.station}-{seen.kind}", seen.kind, seen.value, timestamp)
