"""Part (g): what it costs that the generator's buffer waits for the disk (docs/producers.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import probe
from figures import Figure, of_runs, ratios

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCRIPT = Path(__file__).with_name("on_node_buffer.py").read_text(encoding="utf-8")
ROUNDS = 5
# Readings a group -> groups a round: a tick of the generator, and what it takes at once when it is late.
GROUPS = {"3": 300, "1000": 20}


def measure() -> list[Figure]:
    """Measure on the apps node, beside the generator, whose own buffer is left alone."""
    given = json.dumps({"rounds": ROUNDS, "groups": GROUPS}) + "\n"
    return figures(json.loads(remote.run(probe.APPS, [probe.KAFKA_PYTHON, "-c", SCRIPT], stdin=given)))


def figures(found: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Figure]:
    """Return the figures from the seconds a group, size by size."""
    made = []
    for size, levels in found.items():
        what = f"a commit of {int(size):,} readings"
        how = f"{GROUPS[size]} commits a round, one caller, new files on the apps node's disk, in turns"
        made += [
            of_runs(f"g: {what}, synchronous={level}", [1000 * run for run in runs], "ms", how)
            for level, runs in levels.items()
        ]
        beside = ratios(levels["FULL"], levels["NORMAL"])
        made.append(
            of_runs(f"g: {what}, FULL beside NORMAL", beside, "times", "median of the rounds' ratios")
        )
    return made
