"""Figures as reports/bench.json has them, and the few statistics behind them. No I/O."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Figure:
    """One figure; `name` begins with its part's letter and ": ".

    `value` is None where nothing was measured, and `how` then says why. `goal` is "" and `holds` None for a
    figure that has no goal; `runs` has the values of the single runs.
    """

    name: str
    value: float | str | None
    unit: str
    how: str
    runs: tuple[float, ...] = ()
    goal: str = ""
    holds: bool | None = None

    @property
    def part(self) -> str:
        """The letter of its part."""
        return self.name.partition(":")[0]


def rounded(value: float) -> float:
    """Return the value with four significant digits, which is more than any of these measurements has."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, 3 - math.floor(math.log10(abs(value))))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 < share <= 1) of the values do not exceed.

    ValueError for no values or another share.
    """
    if not values or not 0 < share <= 1:
        message = f"no {share} percentile of {len(values)} values"
        raise ValueError(message)
    # Against the rounding of a product that should be whole: 0.07 * 100 is a little more than 7.
    return sorted(values)[math.ceil(round(share * len(values), 9)) - 1]


def of_runs(name: str, runs: Sequence[float], unit: str, how: str) -> Figure:
    """Return the figure whose value is the median of the runs."""
    return Figure(name, rounded(median(runs)), unit, how, tuple(map(rounded, runs)))


def at_least(figure: Figure, goal: float, floor: float | None = None) -> Figure:
    """Return the figure with the goal that its value is no smaller; `floor` is told beside it."""
    text = f"at least {goal:g}" + (f" (floor {floor:g})" if floor is not None else "")
    return _with_goal(figure, text, holds=isinstance(figure.value, float | int) and figure.value >= goal)


def at_most(figure: Figure, goal: float) -> Figure:
    """Return the figure with the goal that its value is no larger."""
    holds = isinstance(figure.value, float | int) and figure.value <= goal
    return _with_goal(figure, f"at most {goal:g}", holds=holds)


def _with_goal(figure: Figure, goal: str, *, holds: bool) -> Figure:
    # What was not measured neither holds nor fails.
    known = None if figure.value is None else holds
    return Figure(figure.name, figure.value, figure.unit, figure.how, figure.runs, goal, known)


def ratios(ours: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return ours beside the others', round by round; ValueError where one has a round more."""
    return [one / other for one, other in zip(ours, others, strict=True)]


def merged(before: Iterable[Figure], now: Iterable[Figure], parts: Iterable[str]) -> list[Figure]:
    """Return the figures in order of their parts: those of `parts` from now, all others from before."""
    replaced = set(parts)
    return sorted(
        [*(figure for figure in before if figure.part not in replaced), *now], key=lambda figure: figure.part
    )


def to_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Return the figures as reports/bench.json lists them."""
    order = ("name", "value", "unit", "goal", "holds", "how", "runs")
    return [{key: asdict(figure)[key] for key in order} for figure in figures]


def from_json(rows: Iterable[dict[str, Any]]) -> list[Figure]:
    """Return the figures of what to_json made."""
    return [Figure(**{**row, "runs": tuple(row["runs"])}) for row in rows]
