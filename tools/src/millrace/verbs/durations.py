"""How long the long verbs took: a list that grows, a line of JSON each, in the environment's state directory.

`make bench` reports them; running `make up` from nothing only to time it would cost the lab. Standard library
only. A purged environment (`make destroy PURGE=1`) loses its list.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from millrace.paths import cache_dir, repo_root, state_dir, state_root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLD = "cold"
"""No nodes, and nothing in the caches: image and downloads are made and fetched."""
WARM = "warm"
"""No nodes, but caches of an earlier time."""
AGAIN = "again"
"""The nodes had been provisioned before: the run only reconciles them."""


@dataclass(frozen=True)
class Run:
    """One run of a verb: `when` is its start (ISO 8601, UTC), times are in seconds, `status` is its exit's.

    `start` says what it found: COLD, WARM or AGAIN. `commit` ends in "+" where the clone had changes.
    """

    verb: str
    start: str
    when: str
    commit: str
    status: int
    seconds: float
    phases: Mapping[str, float]


def path() -> Path:
    """Return the file of the environment's list; it may not exist yet."""
    return state_dir() / "durations.jsonl"


def starting_point() -> str:
    """Tell what a verb that starts now finds; asked before its first phase."""
    # Written by provisioning and removed by `make destroy`.
    if (state_dir() / "ssh_config").exists():
        return AGAIN
    caches = cache_dir()
    return WARM if caches.is_dir() and any(caches.iterdir()) else COLD


def commit() -> str:
    """Return the clone's commit, abbreviated, with "+" where files differ from it; "unknown" without git."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603 - fixed words
                ["git", "-C", str(repo_root()), *words],  # noqa: S607 - the operator's own git
                check=False,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    name = git("rev-parse", "--short", "HEAD")
    if name is None:
        return "unknown"
    return name + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def record(run: Run) -> None:
    """Append a run to the list, if the environment has a state directory.

    A run that succeeded makes it where the machine is ready: `make molecule` may come before there is a lab.
    """
    file = path()
    if run.status == 0 and state_root().is_dir():
        file.parent.mkdir(mode=0o700, exist_ok=True)
    if file.parent.is_dir():
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(run)) + "\n")


def recorded() -> list[Run]:
    """Return the runs so far, the oldest first."""
    file = path()
    if not file.exists():
        return []
    return [Run(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines() if line]
