"""The roles' molecule scenarios: which there are, and running several side by side. Standard library only."""

from __future__ import annotations

import os
import shlex
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.console import MillraceError, say, stream, stream_lines
from millrace.paths import repo_root
from millrace.providers.lab import incus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ROLES = repo_root() / "roles"
TOOLS = repo_root() / ".venv" / "bin"
# A scenario waits for containers and daemons about as long as it computes: two at a time keep two cores busy.
AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """How a role's scenario ended: molecule's exit status, and how long it took in seconds."""

    status: int
    seconds: float

    def __str__(self) -> str:
        """Return the verdict and the duration."""
        verdict = "passed" if self.status == 0 else f"FAILED (status {self.status})"
        return f"{verdict:<20}{self.seconds:8.1f} s"


def _extent(role: str) -> int:
    """Return how many bytes a role's scenario has: what says the most takes the longest."""
    return sum(path.stat().st_size for path in (ROLES / role / "molecule").rglob("*") if path.is_file())


def roles_with_scenario() -> list[str]:
    """Return the names of the roles that have a molecule scenario, sorted."""
    return sorted(path.parents[2].name for path in ROLES.glob("*/molecule/default/molecule.yml"))


def chosen(wanted: str) -> list[str]:
    """Return the role of that name, or all of them for an empty one."""
    known = roles_with_scenario()
    if wanted and wanted not in known:
        msg = f"no role {wanted!r}; ROLE is one of: {', '.join(known)}"
        raise MillraceError(msg)
    return [wanted] if wanted else known


def at_once() -> int:
    """Return how many scenarios run side by side: JOBS=, or two."""
    wanted = os.environ.get("JOBS") or str(AT_ONCE)
    if not wanted.isascii() or not wanted.isdigit() or int(wanted) == 0:
        msg = f"JOBS={wanted}: a number of scenarios to run side by side, 1 or more"
        raise MillraceError(msg)
    return int(wanted)


def containers(names: Sequence[str], roles: Sequence[str]) -> list[str]:
    """Return those of the default project's containers that the roles' scenarios make."""
    prefixes = tuple(f"molecule-{role.replace('_', '-')}-" for role in roles)
    return sorted(name for name in names if name.startswith(prefixes))


def clear(roles: Sequence[str]) -> None:
    """Remove what the roles' scenarios left, where one was broken off before its own end."""
    left = containers([instance.name for instance in incus.instances("default")], roles)
    if left:
        say(f"removing what a scenario left: {', '.join(left)}")
        incus.incus("delete", "--force", "--project", "default", *left)


def _scenario(role: str, *, alone: bool) -> Outcome:
    """Run a role's scenario: alone with its output as it is, beside others with the role before each line."""
    start = time.monotonic()
    command: list[str | Path] = [TOOLS / "molecule", "test"]
    env = {
        "PATH": f"{TOOLS}:{os.environ.get('PATH', '')}",
        # The scenarios' playbooks call the client too, and cannot tell by themselves whether it needs sudo.
        "MILLRACE_INCUS": shlex.join(incus.command()),
    }
    if alone:
        status = stream(command, env=env, cwd=ROLES / role)
    else:
        status = stream_lines(command, lambda line: say(f"{role} | {line}"), env=env, cwd=ROLES / role)
    return Outcome(status, time.monotonic() - start)


def run(roles: Sequence[str], jobs: int) -> dict[str, Outcome]:
    """Run the roles' scenarios, `jobs` at a time, the longest first; return their outcomes, print each.

    After Ctrl-C none is begun any more; those that run got the signal too and are waited for.
    """
    if len(roles) == 1:
        return {roles[0]: _scenario(roles[0], alone=True)}
    outcomes: dict[str, Outcome] = {}

    def one(role: str) -> None:
        say(f"==> molecule {role}")
        outcomes[role] = _scenario(role, alone=False)
        say(f"<== molecule {role}: {outcomes[role]}")

    pool = ThreadPoolExecutor(jobs)
    try:
        running: list[Future[None]] = [
            pool.submit(one, role) for role in sorted(roles, key=_extent, reverse=True)
        ]
        for future in running:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return dict(sorted(outcomes.items()))
