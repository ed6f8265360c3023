"""Parts (d) and (e): what the lab takes at rest, and how long the long verbs took."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from figures import Figure, at_most, rounded
from latency import await_warm

from millrace.console import say
from millrace.verbs import durations, footprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millrace.verbs.durations import Run
    from millrace.verbs.footprint import Footprint

MEMORY_GOAL = 10.0  # GiB
PROCESSOR_GOAL = 0.8  # cores
MOST_RUNS = 10


def at_rest() -> list[Figure]:
    """Measure (d) for SECONDS, with the job warm and nothing but the generator's readings."""
    await_warm()
    seconds = float(os.environ.get("BENCH_SECONDS") or 120)
    found = footprint.measure(seconds)
    say(footprint.render(found))
    return footprints(found, seconds)


def footprints(found: Sequence[Footprint], seconds: float) -> list[Figure]:
    """Return (d)'s figures: the sums with their goals, then each service."""
    how = f"at 15 readings a second, `make footprint SECONDS={seconds:.0f}`: all processes of all nodes, PSS"
    memory = rounded(sum(row.memory for row in found) / 1024)
    cores = rounded(sum(row.cores for row in found))
    return [
        at_most(Figure("d: memory at rest", memory, "GiB", how), MEMORY_GOAL),
        at_most(Figure("d: processor at rest", cores, "cores", how), PROCESSOR_GOAL),
        *(Figure(f"d: {row.service}, memory", rounded(row.memory), "MiB", how) for row in found),
        *(Figure(f"d: {row.service}, processor", rounded(row.cores), "cores", how) for row in found),
    ]


def recorded() -> list[Figure]:
    """Return (e)'s figures from what the verbs recorded themselves."""
    return verbs(durations.recorded())


def verbs(runs: Sequence[Run]) -> list[Figure]:
    """Return (e)'s figures: the newest run that succeeded; `runs` has those before it too, oldest first."""
    done = [run for run in runs if run.status == 0]
    wanted = {
        "`make up`, cold": ("up", durations.COLD, "no nodes and empty caches"),
        "`make up`, warm": ("up", durations.WARM, "no nodes, but image and downloads cached"),
        "`make up` again": ("up", durations.AGAIN, "on nodes that were there"),
    }
    found = [
        _verb(name, [run for run in done if (run.verb, run.start) == (verb, start)], what)
        for name, (verb, start, what) in wanted.items()
    ]
    tests, roles = ([run for run in done if run.verb == verb] for verb in ("test", "molecule"))
    found.append(_verb("`make test`", tests, "as CI runs it, whatever it found"))
    found.append(_verb("`make molecule`", roles, "all roles' scenarios"))
    both = [(test, next((run for run in reversed(roles) if run.when < test.when), None)) for test in tests]
    pairs = [(test, role) for test, role in both if role is not None and role.commit == test.commit]
    name = "e: `.ci/run`"
    if not pairs:
        why = "not recorded: a `make molecule` and then a `make test` of the same commit that both succeeded"
        return [*found, Figure(name, None, "s", why)]
    sums = [round(test.seconds + role.seconds) for test, role in pairs][-MOST_RUNS:]
    how = f"`make molecule` and `make test` ({pairs[-1][0].start}) of commit {pairs[-1][0].commit} added up"
    return [*found, Figure(name, sums[-1], "s", how, tuple(map(float, sums)))]


def _verb(name: str, runs: Sequence[Run], what: str) -> Figure:
    if not runs:
        return Figure(f"e: {name}", None, "s", f"not recorded on this machine: {what}")
    last = runs[-1]
    phases = ", ".join(f"{phase} {seconds:.0f} s" for phase, seconds in last.phases.items())
    how = f"{what}; recorded by the verb itself at {last.when}, commit {last.commit}: {phases}"
    seconds = tuple(float(round(run.seconds)) for run in runs[-MOST_RUNS:])
    return Figure(f"e: {name}", seconds[-1], "s", how, seconds)
