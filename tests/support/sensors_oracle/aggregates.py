"""Aggregates over time in plain Python: the oracle that tests hold the database's aggregates against.

Shares no code with the job or its SQL. Exact: sums are fractions, so no order of adding up matters.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensors_oracle.reference import Reading

PERIODS = {"1m": timedelta(minutes=1), "10m": timedelta(minutes=10), "1h": timedelta(hours=1)}
"""The periods of the views sensors.aggregates_1m, _10m and _1h."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Key = tuple[str, str, datetime]
"""Sensor id, type, and where the period begins (UTC)."""


@dataclass(frozen=True)
class Aggregate:
    """Readings of one sensor and type in one period, in the unit of the type.

    `deviation` is the sample's standard deviation, None for a single reading; `anomalies` counts what rules
    flagged, a reading once for each rule.
    """

    readings: int
    minimum: float
    maximum: float
    mean: float
    deviation: float | None
    anomalies: int


def aggregate(flagged: Iterable[tuple[Reading, int]], period: timedelta) -> dict[Key, Aggregate]:
    """Aggregate readings, each given with how many rules flag it, over periods aligned to 1970 (UTC)."""
    groups: dict[Key, list[tuple[float, int]]] = defaultdict(list)
    for reading, anomalies in flagged:
        begin = _EPOCH + (reading.event_time - _EPOCH) // period * period
        groups[reading.sensor_id, reading.type, begin].append((reading.value, anomalies))
    return {key: _one(values) for key, values in groups.items()}


def _one(values: list[tuple[float, int]]) -> Aggregate:
    # A float's shortest text is the number that was sent; the float itself is only near it.
    exact = [Fraction(repr(value)) for value, _ in values]
    count, mean = len(exact), sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (count - 1) if count > 1 else None
    return Aggregate(
        readings=count,
        minimum=float(min(exact)),
        maximum=float(max(exact)),
        mean=float(mean),
        deviation=None if variance is None else math.sqrt(variance),
        anomalies=sum(anomalies for _, anomalies in values),
    )
