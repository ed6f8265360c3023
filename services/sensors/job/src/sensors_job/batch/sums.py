"""Aggregates added up outside the database, exactly: sums of decimals, rolled up and compared. No I/O.

The numbers are those of migrations/0004_aggregates.sql: PostgreSQL takes a double for a decimal of 15
significant digits, and sums of those are exact, so no order of adding up matters here or there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PERIODS = {"1m": 60, "10m": 600, "1h": 3600}
"""Seconds of the periods of sensors.aggregates_1m, _10m and _1h."""
TOLERANCE = 1e-12
"""By how much mean and deviation may differ, relatively: PostgreSQL divides decimals to 16 digits or more."""

Series = tuple[str, str]
"""Sensor id and type."""


class Repeated(NamedTuple):
    """A value that a sensor had so many times in the minute that begins at `bucket`, in s since 1970."""

    sensor_id: str
    type: str
    bucket: int
    value: float
    readings: int


@dataclass(frozen=True)
class Sums:
    """What readings add up to: exact sums of values and of their squares."""

    readings: int
    minimum: float
    maximum: float
    total: Fraction
    squares: Fraction

    def __add__(self, other: Sums) -> Sums:
        """Return the sums of both sets of readings together."""
        return Sums(
            self.readings + other.readings,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self.total + other.total,
            self.squares + other.squares,
        )

    @property
    def mean(self) -> float:
        """The mean, in the unit of the type."""
        return float(self.total / self.readings)

    @property
    def deviation(self) -> float | None:
        """The sample's standard deviation; None for a single reading."""
        if self.readings == 1:
            return None
        squared = (self.readings * self.squares - self.total**2) / (self.readings * (self.readings - 1))
        # As a decimal, since the square of what a double can hold may be beyond one.
        with localcontext(prec=40):
            return float((Decimal(squared.numerator) / squared.denominator).sqrt())


class Aggregate(NamedTuple):
    """A row of a view sensors.aggregates_*, and what it is compared by; None: no such row, no deviation."""

    readings: int
    minimum: float
    maximum: float
    mean: float
    deviation: float | None
    anomalies: int


class Difference(NamedTuple):
    """A bucket in which lake and database do not say the same; None where one of them has nothing."""

    period: str
    series: Series
    bucket: int
    lake: Aggregate | None
    database: Aggregate | None


Outcome = Literal["equal", "different", "moving", "dropped"]
"""What became of a bucket in the comparison."""
Ranges = tuple[tuple[int, int], ...]
"""Periods that the lifecycle dropped, [begin, end) in seconds since 1970."""


def add_up(values: Iterable[Repeated]) -> Iterator[tuple[Series, dict[int, Sums]]]:
    """Yield each series with its minutes; `values` must be sorted by sensor and type."""
    for series, rows in groupby(values, lambda row: (row.sensor_id, row.type)):
        minutes: dict[int, Sums] = {}
        for row in rows:
            exact = Fraction(f"{row.value:.15g}")
            count = row.readings
            sums = Sums(count, row.value, row.value, count * exact, count * exact**2)
            minutes[row.bucket] = minutes[row.bucket] + sums if row.bucket in minutes else sums
        yield series, minutes


def roll_up(minutes: Mapping[int, Sums], anomalies: Mapping[int, int], seconds: int) -> dict[int, Aggregate]:
    """Return the aggregates of longer periods, by where they begin; `anomalies` are counts by minute."""
    sums: dict[int, Sums] = {}
    flagged: dict[int, int] = {}
    for minute, own in minutes.items():
        bucket = minute // seconds * seconds
        sums[bucket] = sums[bucket] + own if bucket in sums else own
        flagged[bucket] = flagged.get(bucket, 0) + anomalies.get(minute, 0)
    return {
        bucket: Aggregate(
            own.readings, own.minimum, own.maximum, own.mean, own.deviation, flagged.get(bucket, 0)
        )
        for bucket, own in sums.items()
    }


def same(lake: Aggregate | None, database: Aggregate | None) -> bool:
    """Tell whether two aggregates say the same: equal, and mean and deviation within TOLERANCE."""
    if lake is None or database is None:
        return lake is database
    exact = ("readings", "minimum", "maximum", "anomalies")
    if any(getattr(lake, name) != getattr(database, name) for name in exact):
        return False
    return _near(lake.mean, database.mean) and _near(lake.deviation, database.deviation)


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE)


def within(bucket: int, ranges: Ranges) -> bool:
    """Tell whether a bucket begins in one of the ranges."""
    return any(begin <= bucket < end for begin, end in ranges)


def with_counts_of(
    lake: Mapping[int, Aggregate], database: Mapping[int, Aggregate], dropped: Ranges
) -> dict[int, Aggregate]:
    """Return the lake's side with the database's counts of anomalies where their rows are `dropped`."""
    return {
        bucket: own._replace(anomalies=database[bucket].anomalies)
        if bucket in database and within(bucket, dropped)
        else own
        for bucket, own in lake.items()
    }


def compare(
    seconds: int,
    lake: Mapping[int, Aggregate],
    database: Mapping[int, Aggregate],
    moving: Iterable[int],
    dropped: Ranges = (),
) -> Iterator[tuple[int, Outcome]]:
    """Yield what became of each bucket of one series and a period of so many seconds, in order of time.

    `moving` are minutes with readings that only the database has so far: what they are part of is left out,
    and so is what the database has `dropped`.
    """
    unsure = {minute // seconds * seconds for minute in moving}
    for bucket in sorted({*lake, *database}):
        if within(bucket, dropped):
            yield bucket, "dropped"
        elif bucket in unsure:
            yield bucket, "moving"
        else:
            yield bucket, "equal" if same(lake.get(bucket), database.get(bucket)) else "different"
