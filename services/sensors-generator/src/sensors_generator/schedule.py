"""When to send: ticks at whole multiples of the interval since 1970 (UTC), so that nothing drifts.

All times are whole microseconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = 1000


def first_tick(now: int, interval: int) -> int:
    """Return the first tick after `now`."""
    return (now // interval + 1) * interval


def next_tick(tick: int, now: int, interval: int, *, catch_up: bool = False) -> tuple[int, int]:
    """Return the tick after `tick` and how many were left out.

    Who is late goes on with the newest tick that is due instead of sending all that it missed, unless
    `catch_up`. A clock that was set back starts the schedule anew.
    """
    following = tick + interval
    if following - now > 2 * interval:
        return first_tick(now, interval), 0
    newest = now // interval * interval
    if catch_up or newest <= following:
        return following, 0
    return newest, (newest - following) // interval


def from_micros(moment: int) -> datetime:
    """Return `moment` as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=moment)


def format_time(moment: int) -> str:
    """Return `moment` as ISO 8601 in UTC, with milliseconds, or microseconds where those aren't zero."""
    precision = "milliseconds" if moment % _MILLISECOND == 0 else "microseconds"
    return from_micros(moment).isoformat(timespec=precision).removesuffix("+00:00") + "Z"
