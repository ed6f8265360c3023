"""The signal model: what a sensor of each type reads. Pure and seeded: one seed and id give one sequence."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 100  # a value is a whole number of hundredths of its unit


@dataclass(frozen=True)
class Profile:
    """How a type of sensor behaves; all figures but the shares are in its unit.

    `low`..`high` is all that it can read, `calm` where ordinary readings stay, `strange` the bands of the
    anomalies. `drift` is the step of the slow random walk, `noise` what each reading adds to it.
    """

    low: float
    high: float
    calm: tuple[float, float]
    strange: tuple[tuple[float, float], ...]
    drift: float
    noise: float


PROFILES = {
    "temperature": Profile(10, 40, (15, 30), ((35.01, 40),), drift=0.02, noise=0.05),
    "pressure": Profile(900, 1100, (980, 1040), ((900, 949.99),), drift=0.05, noise=0.1),
    "voltage": Profile(215, 245, (225, 235), ((215, 219.99), (240.01, 245)), drift=0.03, noise=0.2),
}
_PULL = 0.001  # how strongly the walk is drawn back to the middle, a tick


def readings(seed: int, sensor_id: str, kind: str, anomaly_share: float) -> Iterator[float]:
    """Yield the values of one sensor without end, in steps of 0.01 of the unit of its type `kind`.

    `anomaly_share` (0 to 1) of them lie in the type's anomalous bands, all others in its calm one.
    """
    return (value for value, _ in labelled(seed, sensor_id, kind, anomaly_share))


def labelled(seed: int, sensor_id: str, kind: str, anomaly_share: float) -> Iterator[tuple[float, bool]]:
    """Yield the same values as readings(), each with its label: whether it was made to be an anomaly."""
    profile = PROFILES[kind]
    rng = random.Random(f"{seed}/{sensor_id}")  # noqa: S311 - a signal, not a secret
    calm_low, calm_high = profile.calm
    middle = (calm_low + calm_high) / 2
    level = rng.uniform(middle, (middle + calm_high) / 2)
    while True:
        level += _PULL * (middle - level) + rng.gauss(0, profile.drift)
        level = min(max(level, calm_low), calm_high)
        value = min(max(level + rng.gauss(0, profile.noise), calm_low), calm_high)
        anomalous = rng.random() < anomaly_share
        if anomalous:
            value = rng.uniform(*rng.choice(profile.strange))
        yield round(value * STEPS) / STEPS, anomalous
