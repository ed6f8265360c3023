"""When to send: ticks at whole multiples of the interval since 1970 (UTC), so that nothing drifts.

All times are whole microseconds since 1970.
"""

from __future__ import annotations


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
