"""When to send: ticks at whole multiples of the interval since 1970 (UTC), so that nothing drifts.

All times are whole microseconds since 1970.
"""

from __future__ import annotations


def first_tick(now: int, interval: int) -> int:
    """Return the first tick after `now`."""
    return (now // interval + 1) * interval


def next_tick(tick: int, now: int, interval: int) -> int:
    """Return the tick after `tick`, however late; a clock that was set back starts the schedule anew."""
    following = tick + interval
    return first_tick(now, interval) if following - now > 2 * interval else following
