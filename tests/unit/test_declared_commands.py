"""Figures of the status and commands of make: every slip is told before make takes it for something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from declarations import changed, read

from millrace import paths
from millrace.model.make_variables import is_taken

if TYPE_CHECKING:
    from pathlib import Path

FIGURE = {"column": "open", "label": "open"}
WRONG: list[tuple[str, object, str]] = [
    (
        "status/figures",
        [FIGURE, {"column": "a b", "label": "x"}],
        "status.figures[1].column: must be a column of",
    ),
    (
        "status/figures",
        [FIGURE, FIGURE | {"label": "x"}],
        "status.figures[1].column: 'open' is shown already",
    ),
    ("status/figures/0/label", "two\nlines", "status.figures[0].label: must be one line"),
    ("status/figures/0/label", " ", "status.figures[0].label: must be one line"),
    ("status/metrics/0/metric", "lag messages", "status.metrics[0].metric: must be the name of a Prometheus"),
    ("status/metrics/0/label", "see\tn", "status.metrics[0].label: must be one line"),
    ("status/metrics/0/unit", "a\nb", "status.metrics[0].unit: must be one line"),
    ("commands/count/help", "Count\nall.", "commands.count.help: must be one line"),
    ("commands/count/run", [], "commands.count.run: must be a command and its words"),
    ("commands/count/options", {"from": "FROM"}, "commands.count.options.from: an option is such as --from"),
    ("commands/count/options/--a", "PATH", "commands.count.options.--a: PATH is a variable of make's or"),
    (
        "commands/count/options/--a",
        "MAKEFLAGS",
        "commands.count.options.--a: MAKEFLAGS is a variable of make's",
    ),
    ("commands/count/options/--a", "LIMIT", "commands.count.options.--a: LIMIT is a variable of make's"),
    (
        "commands/count/options/--a",
        "SSH_AUTH_SOCK",
        "commands.count.options.--a: SSH_AUTH_SOCK is a variable",
    ),
]


@pytest.mark.parametrize(("keys", "value", "problem"), WRONG)
def test_a_slip_is_told_with_its_key(services: Path, keys: str, value: object, problem: str) -> None:
    _, problems = read(services, changed(keys, value))
    assert len(problems) == 1
    assert problem in problems[0]


def test_whatever_the_makefile_sets_is_taken() -> None:
    text = (paths.repo_root() / "Makefile").read_text(encoding="utf-8")
    names = re.findall(r"^(?:export )?([A-Z_]+) *[:?+]?=", text, re.MULTILINE)
    assert names
    assert [name for name in names if not is_taken(name)] == []
