"""Profiles, and how good rules are by the generator's own labels: the figures of docs/batch.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from sensors_oracle import evaluation
from sensors_oracle.baselines import NORMAL, learn
from sensors_oracle.evaluation import Plan, Score
from sensors_oracle.reference import Reading, Rule, flags

from sensors_generator.signals import PROFILES, labelled, readings

DOCUMENT = Path(__file__).parents[2] / "docs" / "batch.md"
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)


def day(*values: float, hour: int = 5, sensor: str = "v") -> list[Reading]:
    begin = MIDNIGHT.replace(hour=hour)
    return [Reading(sensor, "voltage", value, begin + timedelta(seconds=n)) for n, value in enumerate(values)]


def test_centre_and_spread_are_medians_that_one_anomaly_does_not_move() -> None:
    assert learn(day(1, 2, 3, 5, 1e9), minimum=5) == {("v", "voltage", 5): (3.0, NORMAL * 2.0)}
    assert learn(day(1, 2), minimum=2) == {("v", "voltage", 5): (1.5, NORMAL * 0.5)}


def test_constant_sensors_have_the_floor_and_thin_hours_no_profile() -> None:
    several = [*day(7, 7, 7), *day(7, 7, hour=6), *day(9, 9, 9, sensor="w")]
    profile = learn(several, minimum=3, floor=0.25)
    assert profile == {("v", "voltage", 5): (7, 0.25), ("w", "voltage", 5): (9, 0.25)}


@pytest.mark.parametrize(
    ("hour", "value", "flagged"),
    [(5, 9.0, False), (5, 9.01, True), (5, 5.0, False), (5, 4.99, True), (6, 100.0, False)],
)
def test_unusual_is_beyond_so_many_spreads_at_an_hour_that_was_learned(
    hour: int,
    value: float,
    flagged: bool,  # noqa: FBT001 - a case
) -> None:
    rule = Rule("odd", "voltage", "unusual", 4.0, "info")
    (reading,) = day(value, hour=hour)
    assert flags(reading, [rule], {("v", "voltage", 5): (7.0, 0.5)}) == (("odd",) if flagged else ())
    assert flags(reading, [rule]) == ()


@pytest.mark.parametrize("kind", PROFILES)
def test_labels_are_of_the_signal_itself(kind: str) -> None:
    made = list(islice(labelled(3, "s", kind, 0.1), 3000))
    assert [value for value, _ in made] == list(islice(readings(3, "s", kind, 0.1), 3000))
    calm_low, calm_high = PROFILES[kind].calm
    assert [label for _, label in made] == [not calm_low <= value <= calm_high for value, _ in made]
    assert 200 < sum(label for _, label in made) < 400


def test_shares_are_of_what_was_flagged_and_of_what_should_have_been() -> None:
    score = Score(found=6, missed=2, wrong=4)
    assert (score.precision, score.recall) == (0.6, 0.75)
    assert (Score(0, 0, 0).precision, Score(0, 0, 0).recall) == (None, None)
    assert evaluation.total([score, Score(1, 2, 3)]) == Score(7, 4, 7)


def test_a_factor_that_is_too_large_misses_and_one_that_is_too_small_cries_wolf() -> None:
    plan = Plan((1,), (11,), 20_000, 0.05, (0.5, 1000))
    small, large = list(evaluation.scores("voltage-1", plan).values())[1:]
    assert small.missed < large.missed
    assert small.wrong > large.wrong == 0
    assert large.found == 0


def test_seeds_that_were_learned_from_judge_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        evaluation.main(["--learn", "1-3", "--judge", "3-4"])
    assert "is not held out" in capsys.readouterr().err


def test_the_document_has_the_figures_that_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    match = re.search(r"```\n\$ python -m sensors_oracle\.evaluation\n(.*?)```", text, re.DOTALL)
    assert match, "docs/batch.md has no table"
    assert evaluation.main([]) == 0
    assert capsys.readouterr().out == match.group(1)
