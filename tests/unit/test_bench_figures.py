"""Statistics, goals and the report of make bench, and the page that is made from it."""

from __future__ import annotations

import json
import re
from statistics import median
from typing import TYPE_CHECKING

import bench
import page
import pytest
from figures import (
    Figure,
    at_least,
    at_most,
    from_json,
    merged,
    of_runs,
    percentile,
    ratios,
    rounded,
    to_json,
)
from hypothesis import given
from hypothesis import strategies as st

from millrace.console import MillraceError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200)
RATE = of_runs("a: job", [100.0, 300.0, 200.0], "readings/s", "in turns")
NONE = Figure("c: compressed chunks", None, "bytes a reading", "not available")
FIGURES = [
    RATE,
    at_least(of_runs("a: beside COPY", [0.5, 0.7], "times", "in turns"), 0.6, 0.4),
    at_most(of_runs("b: p99", [3.0], "s", "watched"), 2),
    NONE,
]


@given(VALUES, st.floats(0.001, 1))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    least = share * len(values) - 1e-6
    assert sum(value <= found for value in values) >= least
    assert sum(value < found for value in values) < least + 2e-6
    assert found in values


def test_percentiles_of_a_hundred_values_are_their_numbers() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.01, 0.07, 0.5, 0.95, 0.99, 1)] == [
        1,
        7,
        50,
        95,
        99,
        100,
    ]


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0), ([1.0], 1.1)])
def test_what_has_no_percentile(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


@given(st.floats(1e-9, 1e12))
def test_rounding_keeps_four_digits(value: float) -> None:
    assert rounded(value) == pytest.approx(value, rel=5.1e-4)
    assert float(f"{rounded(value):.3e}") == pytest.approx(rounded(value), rel=1e-12)
    assert rounded(-value) == -rounded(value)


def test_a_figure_of_runs_is_their_median() -> None:
    assert RATE.value == median(RATE.runs) == 200
    assert RATE.holds is None
    assert RATE.part == "a"


def test_a_goal_holds_at_its_own_value_and_not_beyond() -> None:
    for value, least, most in ((1.0, True, True), (0.99, False, True), (1.01, True, False)):
        figure = Figure("a: x", value, "", "")
        assert at_least(figure, 1).holds is least
        assert at_most(figure, 1).holds is most
    assert at_least(NONE, 1).holds is None, "what was not measured neither holds nor fails"
    assert at_least(NONE, 0.6, 0.4).goal == "at least 0.6 (floor 0.4)"


def test_ratios_are_of_the_same_round() -> None:
    assert ratios([10.0, 20.0], [5.0, 40.0]) == [2.0, 0.5]
    with pytest.raises(ValueError, match="argument 2 is longer"):
        ratios([1.0], [1.0, 2.0])


def test_the_report_has_what_design_asks_for_and_is_read_back() -> None:
    text = json.dumps(to_json(FIGURES))
    assert [list(row) for row in json.loads(text)] == [
        ["name", "value", "unit", "goal", "holds", "how", "runs"]
    ] * len(FIGURES)
    assert from_json(json.loads(text)) == FIGURES


def test_a_part_that_is_measured_again_replaces_its_figures_alone() -> None:
    new = [of_runs("b: p99", [1.0], "s", "watched"), of_runs("b: p50", [0.5], "s", "watched")]
    names = [figure.name for figure in merged(FIGURES, new, ["b"])]
    assert names == ["a: job", "a: beside COPY", "b: p99", "b: p50", NONE.name]
    assert merged(FIGURES, new, ["b"])[2].value == 1


def test_the_page_says_which_goals_are_missed_and_how_each_figure_was_measured() -> None:
    text = page.render(FIGURES)
    assert re.search(r"\| a: beside COPY \| 0.6 times \| at least 0.6 \(floor 0.4\) \| yes \|", text)
    assert re.search(r"\| b: p99 \| 3 s \| at most 2 \| NO \|", text)
    assert "| job | 200 readings/s | 100 to 300 (3) | 1 |" in text
    assert "| compressed chunks | - |  | 1 |" in text
    assert "1. not available" in text
    assert text.count("Not measured yet.") == 4, "d, e, f and g"


def test_every_value_of_the_report_is_on_the_page_and_in_the_terminal() -> None:
    for text in (page.render(FIGURES), page.summary(FIGURES)):
        for figure in FIGURES:
            assert page.value(figure) in text
    assert page.number(123456.7) == "123,457"
    assert page.number(0.012344) == "0.01234"
    assert page.number(45.67) == "45.67"


def test_notes_survive_what_is_written_anew() -> None:
    first = page.render(FIGURES)
    written = first.replace(page.NOTES.strip(), "(a) is missed.\n\nThe profile says why.")
    again = page.render([], page.notes(written))
    assert "(a) is missed.\n\nThe profile says why." in again
    assert page.render([], page.notes(again)) == again
    assert page.render(FIGURES, page.notes(first)) == first


@pytest.mark.parametrize("mark", [page.BEGIN, page.END])
def test_a_page_without_its_marks_is_not_overwritten(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "REPORT", tmp_path / "reports" / "bench.json")
    monkeypatch.setattr(bench, "PAGE", tmp_path / "benchmarks.md")
    bench.PAGE.write_text(page.render([], "\nkept\n").replace(mark, ""), encoding="utf-8")
    with pytest.raises(ValueError, match="marks"):
        bench.write(FIGURES)
    assert "kept" in bench.PAGE.read_text(encoding="utf-8")


def test_the_committed_page_can_be_written_anew() -> None:
    text = bench.PAGE.read_text(encoding="utf-8")
    assert page.notes(text).strip()
    assert text.startswith(page.HEAD)


def test_parts_run_in_their_own_order_and_one_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> list[Figure]:
        message = "no lab"
        raise MillraceError(message)

    monkeypatch.setattr(bench, "REPORT", tmp_path / "reports" / "bench.json")
    monkeypatch.setattr(bench, "PAGE", tmp_path / "benchmarks.md")
    monkeypatch.setattr(bench, "PARTS", {**bench.PARTS, "b": broken, "a": lambda: [RATE]})
    assert bench.chosen("a, b") == ["b", "a"]
    bench.write(FIGURES)
    assert bench.run(["b", "a"]) == ["(b): no lab"]
    assert [figure.name for figure in bench.before()] == ["a: job", "a: measured", "b: p99", NONE.name]
    assert page.render(bench.before()) == bench.PAGE.read_text(encoding="utf-8")
    assert "not measured: no lab" in capsys.readouterr().out
    with pytest.raises(MillraceError, match="PARTS=a,z"):
        bench.chosen("a,z")
