"""The oracle of aggregates, on numbers that can be worked out by hand, and its properties."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensors_oracle.aggregates import PERIODS, aggregate
from sensors_oracle.reference import Reading

if TYPE_CHECKING:
    import random

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def reading(seconds: float, value: float, sensor: str = "a") -> Reading:
    return Reading(sensor, "voltage", value, NOON + timedelta(seconds=seconds))


def test_a_minute_by_hand() -> None:
    found = aggregate(
        [(reading(0, 220.1), 0), (reading(59.9, 220.3), 2), (reading(60, 230.0), 1)], PERIODS["1m"]
    )
    first = found["a", "voltage", NOON]
    assert (first.readings, first.minimum, first.maximum, first.anomalies) == (2, 220.1, 220.3, 2)
    assert first.mean == 220.2
    assert first.deviation == pytest.approx(math.sqrt(0.02))
    second = found["a", "voltage", NOON + timedelta(minutes=1)]
    assert (second.readings, second.mean, second.deviation) == (1, 230.0, None)


def test_sensors_are_kept_apart() -> None:
    assert len(aggregate([(reading(0, 1.0), 0), (reading(0, 2.0, "b"), 0)], PERIODS["1h"])) == 2


hundredths = st.integers(-100_000, 100_000).map(lambda step: step / 100)
several = st.lists(st.tuples(st.floats(0, 7200), hundredths), min_size=1, max_size=40)


@given(several, st.randoms())
def test_the_order_of_readings_does_not_matter(values: list[tuple[float, float]], rng: random.Random) -> None:
    flagged = [(reading(*pair), 1) for pair in values]
    shuffled = list(flagged)
    rng.shuffle(shuffled)
    assert aggregate(flagged, PERIODS["10m"]) == aggregate(shuffled, PERIODS["10m"])


@given(several)
def test_longer_periods_hold_the_shorter_ones(values: list[tuple[float, float]]) -> None:
    flagged = [(reading(*pair), 1) for pair in values]
    minutes, hours = (aggregate(flagged, PERIODS[name]) for name in ("1m", "1h"))
    for (sensor, kind, begin), hour in hours.items():
        inside = [
            found
            for (other, same, at), found in minutes.items()
            if (other, same) == (sensor, kind) and begin <= at < begin + PERIODS["1h"]
        ]
        assert sum(found.readings for found in inside) == hour.readings == hour.anomalies
        assert (min(f.minimum for f in inside), max(f.maximum for f in inside)) == (
            hour.minimum,
            hour.maximum,
        )
        assert hour.minimum <= hour.mean <= hour.maximum
