"""The baseline of a sensor at an hour of the day, in plain Python: the oracle for profiles.

Shares no code with the job. Robust on purpose: a few anomalies among the readings hardly move a median.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensors_oracle.reference import Profile, Reading

NORMAL = 1.4826
"""The standard deviation of a normal distribution over its median distance from the centre."""


def learn(readings: Iterable[Reading], minimum: int = 100, floor: float = 0.1) -> Profile:
    """Return the profile of `readings`, leaving out the hours that have fewer than `minimum`.

    The centre is the median, the spread NORMAL times the median distance from it, and at least `floor` (in
    the unit of the type), so that a sensor that hardly ever changes is not unusual as soon as it does.
    """
    groups: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for reading in readings:
        groups[reading.sensor_id, reading.type, reading.event_time.hour].append(reading.value)
    profile = {}
    for key, values in groups.items():
        if len(values) >= minimum:
            centre = median(values)
            profile[key] = centre, max(NORMAL * median(abs(value - centre) for value in values), floor)
    return profile
