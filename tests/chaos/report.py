"""The table of rounds that is printed, and the figures of reports/chaos.json."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faults import Fault
    from sensors_oracle.reference import Reading
    from verdict import Place, Verdict

HOW = "make chaos; rounds of one fault each while messages of a known seed are sent"


@dataclass(frozen=True)
class Outcome:
    """One round: `sent` counts messages in the topic, `recovery` is in seconds, `naive` by commits' order.

    The lake is judged later: its rows of the sensors with `prefix` must be the messages `valid`.
    """

    fault: Fault
    sent: int
    acknowledged: int
    recovery: float
    verdict: Verdict
    naive: Mapping[str, Verdict] = field(default_factory=dict)
    prefix: str = ""
    valid: Mapping[Place, Reading] = field(default_factory=dict)
    lake: Verdict | None = None


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a line for each round, one for the lake after it, and one for each naive sink beside it."""
    heads = ["round", "fault", "target", "in topic", "acked", "lost", "doubled", "wrong", "recovery"]
    lines = [heads]
    for number, outcome in enumerate(outcomes, 1):
        seconds, seen = f"{outcome.recovery:.1f} s", outcome.verdict
        amounts = [outcome.sent, outcome.acknowledged, seen.lost, seen.doubled, seen.wrong]
        lines.append([str(number), outcome.fault.kind, outcome.fault.target, *map(str, amounts), seconds])
        others = {f"naive sink, {order}": naive for order, naive in outcome.naive.items()}
        if outcome.lake:
            others = {"the lake": outcome.lake} | others
        lines += [
            ["", "", f"  {name}", "", "", str(other.lost), str(other.doubled), str(other.wrong), ""]
            for name, other in others.items()
        ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in {1, 2} else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def figures(outcomes: Sequence[Outcome], seed: int) -> list[dict[str, Any]]:
    """Return the list of {name, value, unit, goal, holds, how, runs}; `runs` has each round's value."""

    def total(
        name: str, runs: list[int], goal: str, *, holds: bool, unit: str = "messages"
    ) -> dict[str, Any]:
        return _figure(name, sum(runs), unit, goal, runs, seed=seed, holds=holds)

    verdicts = [outcome.verdict for outcome in outcomes]
    found = [
        total(f"chaos: {what}", runs, "0", holds=not any(runs), unit=unit)
        for what, runs, unit in (
            ("messages lost", [verdict.lost for verdict in verdicts], "messages"),
            ("messages doubled", [verdict.doubled for verdict in verdicts], "messages"),
            ("anything else wrong", [verdict.wrong for verdict in verdicts], "differences"),
        )
    ]
    lakes = [outcome.lake for outcome in outcomes if outcome.lake]
    if lakes:
        runs = [lake.lost + lake.doubled + lake.wrong for lake in lakes]
        found.append(total("chaos: lost, doubled or wrong in the lake", runs, "0", holds=not any(runs)))
    seconds = [round(outcome.recovery, 1) for outcome in outcomes]
    for name, value in (("median", median(seconds)), ("longest", max(seconds))):
        found.append(
            _figure(
                f"chaos: recovery, {name}",
                value,
                "s",
                "flows again unattended",
                seconds,
                seed=seed,
                holds=True,
            )
        )
    for order in outcomes[0].naive:
        what = bite(order)
        runs = [getattr(outcome.naive[order], what) for outcome in outcomes]
        found.append(total(f"chaos: naive sink, {order}: {what}", runs, "> 0 each", holds=all(runs)))
    return found


def bite(order: str) -> str:
    """Return which of a verdict's numbers a naive sink of this order of commits must have."""
    return {"commit first": "lost", "insert first": "doubled"}[order]


def _figure(  # noqa: PLR0913 - a figure has this many fields
    name: str, value: float, unit: str, goal: str, runs: Sequence[float], *, seed: int, holds: bool
) -> dict[str, Any]:
    how = f"{HOW} (SEED={seed})"
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "goal": goal,
        "holds": holds,
        "how": how,
        "runs": list(runs),
    }
