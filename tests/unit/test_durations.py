"""The list of what the long verbs took, and what each of them found as it started."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.verbs import durations
from millrace.verbs.durations import AGAIN, COLD, WARM, Run

if TYPE_CHECKING:
    from pathlib import Path

RUN = Run("up", COLD, "2026-11-22T08:00:00+00:00", "abc1234", 0, 600.5, {"bootstrap": 100.0, "deploy": 500.5})


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give state and caches a place of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_runs_are_listed_as_they_came() -> None:
    assert durations.recorded() == []
    paths.state_dir().mkdir(parents=True)
    later = Run("up", AGAIN, "2026-11-22T09:00:00+00:00", "abc1234+", 1, 90.0, {"bootstrap": 90.0})
    durations.record(RUN)
    durations.record(later)
    assert durations.recorded() == [RUN, later]


def test_an_environment_that_never_came_to_be_gets_no_directory_for_it() -> None:
    durations.record(RUN)
    assert not paths.state_dir().exists()
    paths.state_root().mkdir(parents=True)
    durations.record(replace(RUN, status=1))
    assert not paths.state_dir().exists()


def test_the_roles_are_recorded_before_there_is_a_lab() -> None:
    paths.state_root().mkdir(parents=True)
    durations.record(RUN)
    assert durations.recorded() == [RUN]


def test_cold_is_without_nodes_and_without_anything_in_the_caches() -> None:
    assert durations.starting_point() == COLD
    paths.cache_dir().mkdir(parents=True)
    assert durations.starting_point() == COLD, "an empty cache is none"
    (paths.cache_dir() / "artifacts").mkdir()
    assert durations.starting_point() == WARM
    paths.state_dir().mkdir(parents=True)
    assert durations.starting_point() == WARM, "secrets of a lab that was destroyed are no nodes"
    (paths.state_dir() / "ssh_config").touch()
    assert durations.starting_point() == AGAIN


def test_a_clone_with_changes_is_told_from_its_commit(
    directories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
        options = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(clone), *options, *words], check=True, capture_output=True)  # noqa: S603, S607 - fixed words

    clone = directories / "clone"
    clone.mkdir()
    monkeypatch.setattr(durations, "repo_root", lambda: clone)
    assert durations.commit() == "unknown", "no repository"
    git("init")
    (clone / "file").write_text("1", encoding="utf-8")
    git("add", "file")
    git("commit", "-m", "one")
    name = durations.commit()
    assert name
    assert not name.endswith("+")
    (clone / "file").write_text("2", encoding="utf-8")
    assert durations.commit() == name + "+"
