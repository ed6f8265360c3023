"""`python -m sensors_oracle.evaluation`: precision and recall of rules against the generator's own labels.

A profile is learned from days of some seeds, and the rules judge days of others. Which readings are
anomalies, the signal says that made them, so nobody's opinion is in it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from sensors_generator.signals import PROFILES, labelled
from sensors_oracle.baselines import learn
from sensors_oracle.reference import DEFAULT_RULES, Profile, Reading, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
SENSORS = {f"{kind}-1": kind for kind in PROFILES}
_MARKS = {(True, True): "found", (True, False): "wrong", (False, True): "missed", (False, False): "calm"}


class Plan(NamedTuple):
    """Seeds to learn from and to judge, a day of each, and the factors of the unusual rules."""

    learned: tuple[int, ...]
    judged: tuple[int, ...]
    interval_ms: int
    anomaly_share: float
    factors: tuple[float, ...]


class Score(NamedTuple):
    """How a set of rules did: anomalies found and missed, and calm readings flagged wrongly."""

    found: int
    missed: int
    wrong: int

    @property
    def precision(self) -> float | None:
        """Return which share of what was flagged is an anomaly; None if nothing was."""
        flagged = self.found + self.wrong
        return self.found / flagged if flagged else None

    @property
    def recall(self) -> float | None:
        """Return which share of the anomalies was flagged; None if there were none."""
        anomalies = self.found + self.missed
        return self.found / anomalies if anomalies else None


def day(seed: int, sensor_id: str, plan: Plan) -> Iterator[tuple[Reading, bool]]:
    """Yield the readings of a sensor's day with their labels."""
    kind = SENSORS[sensor_id]
    step = timedelta(milliseconds=plan.interval_ms)
    signal = labelled(seed, sensor_id, kind, plan.anomaly_share)
    for number, (value, label) in enumerate(islice(signal, timedelta(days=1) // step)):
        yield Reading(sensor_id, kind, value, MIDNIGHT + number * step), label


def contenders(sensor_id: str, plan: Plan) -> dict[str, tuple[Rule, ...]]:
    """Return the sets of rules that compete for a sensor, by name."""
    kind = SENSORS[sensor_id]
    thresholds = tuple(rule for rule in DEFAULT_RULES if rule.type == kind and rule.concerns(sensor_id))
    return {"thresholds": thresholds} | {
        f"unusual, {factor:g} spreads": (Rule("unusual", kind, "unusual", factor, "info"),)
        for factor in plan.factors
    }


def profile(sensor_id: str, plan: Plan) -> Profile:
    """Return the baseline of a sensor, learned from all of the plan's seeds together."""
    return learn(reading for seed in plan.learned for reading, _ in day(seed, sensor_id, plan))


def scores(sensor_id: str, plan: Plan) -> dict[str, Score]:
    """Return how each set of rules did on the held-out days of a sensor."""
    usual, rules = profile(sensor_id, plan), contenders(sensor_id, plan)
    marks: dict[str, Counter[str]] = {name: Counter() for name in rules}
    for seed in plan.judged:
        for reading, label in day(seed, sensor_id, plan):
            for name, own in rules.items():
                flagged = any(rule.crossed(reading, usual) is not None for rule in own)
                marks[name][_MARKS[flagged, label]] += 1
    return {name: Score(count["found"], count["missed"], count["wrong"]) for name, count in marks.items()}


def total(several: Iterable[Score]) -> Score:
    """Return the scores of several sensors together."""
    return Score(*map(sum, zip(*several, strict=True)))


def table(plan: Plan) -> Iterator[str]:
    """Yield the lines of the table that the command prints."""
    by_sensor = {sensor_id: scores(sensor_id, plan) for sensor_id in SENSORS}
    titles = f"{'found':>6} {'missed':>6} {'wrong':>6} {'precision':>9} {'recall':>7}"
    yield f"{'sensor':<14} {'rules':<20} {titles}"
    names = list(next(iter(by_sensor.values())))
    by_sensor["all"] = {name: total(own[name] for own in by_sensor.values()) for name in names}
    for sensor_id, own in by_sensor.items():
        for name in names:
            score = own[name]
            shares = f"{_share(score.precision):>9} {_share(score.recall):>7}"
            yield f"{sensor_id:<14} {name:<20} {score.found:>6} {score.missed:>6} {score.wrong:>6} {shares}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of FIRST-LAST; ValueError."""
    first, _, last = text.partition("-")
    return tuple(range(int(first), int(last or first) + 1))


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 2 if it was called wrongly."""
    parser = argparse.ArgumentParser(
        "python -m sensors_oracle.evaluation",
        description="Precision and recall of anomaly rules against the generator's labels.",
    )
    parser.add_argument("--learn", type=seeds, default="1-3", metavar="SEEDS", help="such as 1-3")
    parser.add_argument("--judge", type=seeds, default="11-13", metavar="SEEDS", help="such as 11-13")
    parser.add_argument(
        "--interval-ms", type=int, default=2000, help="between two readings (2000; the lab has 200)"
    )
    parser.add_argument("--anomaly-share", type=float, default=0.01, help="as the generator's own")
    parser.add_argument("--factors", type=float, nargs="+", default=(4, 8, 12), help="how many spreads")
    given = parser.parse_args(arguments)
    if set(given.learn) & set(given.judge):
        parser.error("a seed that was learned from is not held out")
    plan = Plan(given.learn, given.judge, given.interval_ms, given.anomaly_share, tuple(given.factors))
    for line in table(plan):
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
