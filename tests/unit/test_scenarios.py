"""The roles' molecule scenarios side by side, with a small program in molecule's place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from millrace.console import MillraceError
from millrace.providers.lab import incus
from millrace.verbs import scenarios

if TYPE_CHECKING:
    from pathlib import Path

# Each tells when it begins and ends; `failing` ends with 3.
MOLECULE = """#!/bin/bash
role=$(basename "$PWD")
echo "begin $role" >> ../../log; echo "says $*"; echo "warns" >&2; echo "$MILLRACE_INCUS" >> ../../client
if [ "$role" = large ]; then until grep -q 'begin small' ../../log; do sleep 0.05; done; fi
echo "end $role" >> ../../log
[ "$role" != failing ] || exit 3
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three roles with scenarios of different extent, one role without, and a program in molecule's place."""
    for role, extent in {"small": 10, "large": 1000, "failing": 100}.items():
        scenario = tmp_path / "roles" / role / "molecule" / "default"
        scenario.mkdir(parents=True)
        (scenario / "molecule.yml").write_text("#" * extent)
    (tmp_path / "roles" / "plain").mkdir()
    (tmp_path / "molecule").write_text(MOLECULE)
    (tmp_path / "molecule").chmod(0o755)
    monkeypatch.setattr(scenarios, "ROLES", tmp_path / "roles")
    monkeypatch.setattr(scenarios, "TOOLS", tmp_path)
    monkeypatch.delenv("JOBS", raising=False)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_a_wrong_role_lists_the_right_ones() -> None:
    assert scenarios.chosen("") == ["failing", "large", "small"]
    assert scenarios.chosen("small") == ["small"]
    with pytest.raises(MillraceError, match=r"no role 'smal'; ROLE is one of: failing, large, small"):
        scenarios.chosen("smal")


def test_two_scenarios_run_side_by_side(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`large` ends only once `small` has begun, which is the last to begin."""
    outcomes = scenarios.run(scenarios.chosen(""), scenarios.at_once())
    assert {role: outcome.status for role, outcome in outcomes.items()} == {
        "failing": 3,
        "large": 0,
        "small": 0,
    }
    log = (repository / "log").read_text().splitlines()
    assert log.index("end failing") < log.index("begin small") < log.index("end large")
    said = capsys.readouterr().out.splitlines()
    assert {"large | says test", "small | warns", "==> molecule failing"} <= set(said)
    assert any(line.startswith("<== molecule failing: FAILED (status 3)") for line in said)


def test_one_at_a_time_starts_with_the_longest(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS", "1")
    scenarios.run(["failing", "small"], scenarios.at_once())
    assert (repository / "log").read_text().splitlines() == [
        "begin failing",
        "end failing",
        "begin small",
        "end small",
    ]


def test_a_scenario_alone_prints_as_it_is(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert scenarios.run(["failing"], scenarios.at_once())["failing"].status == 3
    assert (repository / "log").exists()
    assert capfd.readouterr().out == "says test\n"


@pytest.mark.parametrize(
    ("sudo", "client"), [(True, "sudo -n --preserve-env=INCUS_DIR incus"), (False, "incus")]
)
def test_scenarios_call_the_client_as_the_tools_do(
    repository: Path, monkeypatch: pytest.MonkeyPatch, *, sudo: bool, client: str
) -> None:
    monkeypatch.setattr(incus, "needs_sudo", lambda: sudo)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for roles in (["small"], ["small", "failing"]):
        scenarios.run(roles, 1)
    assert (repository / "client").read_text().splitlines() == [client] * 3


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_jobs_is_told(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("JOBS", wanted)
    with pytest.raises(MillraceError, match=f"JOBS={wanted}"):
        scenarios.at_once()
