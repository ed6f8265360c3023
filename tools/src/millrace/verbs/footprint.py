"""``millrace footprint``: the memory and the processor time that each service takes, measured on the nodes.

Memory is the proportional set size (PSS): a page that several processes share counts once over all of
them, so the services' figures add up. Processor time is that of processes that lived through all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.access import remote
from millrace.console import MillraceError, say
from millrace.model.current import current_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Runs as root on a node and prints a list of [pid and start time, unit, PSS in KiB, processor seconds].
_SAMPLE = """
import glob, json, os, re
rows, tick = [], os.sysconf("SC_CLK_TCK")
for path in glob.glob("/proc/[0-9]*"):
    try:
        with open(path + "/cgroup") as file:
            units = re.findall(r"/([^/\\n]+\\.(?:service|scope))", file.read())
        with open(path + "/smaps_rollup") as file:
            pss = int(re.search(r"^Pss:\\s+(\\d+) kB", file.read(), re.MULTILINE)[1])
        with open(path + "/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        continue  # it has ended meanwhile, or is a kernel thread
    seconds = (int(fields[11]) + int(fields[12])) / tick
    rows.append([os.path.basename(path) + "@" + fields[19], units[-1] if units else "init", pss, seconds])
print(json.dumps(rows))
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its unit (``init`` for none), PSS in KiB, and processor seconds since its start."""

    unit: str
    pss: int
    seconds: float


Sample = dict[tuple[str, str], Process]
"""(node, process) -> what it takes; a process is told from its successors by the time of its start."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one service takes on all its nodes together: memory in MiB, processor in cores."""

    service: str
    memory: float
    cores: float


def parse(node: str, output: str) -> Sample:
    """Read what the script printed on `node`."""
    return {(node, key): Process(unit, pss, seconds) for key, unit, pss, seconds in json.loads(output)}


def footprints(
    first: Sample, last: Sample, seconds: float, services: Mapping[tuple[str, str], str]
) -> list[Footprint]:
    """Return the footprint of each service, the largest memory first; what is of no service is ``system``.

    `services` maps (node, unit) -> service; memory is that of `last`, processor time that between them.
    """
    memory: Counter[str] = Counter()
    cores: dict[str, float] = {}
    for key, process in last.items():
        service = services.get((key[0], process.unit), "system")
        memory[service] += process.pss
        before = first.get(key)
        if before is not None:
            cores[service] = cores.get(service, 0.0) + (process.seconds - before.seconds) / seconds
    return [Footprint(name, pss / 1024, cores.get(name, 0.0)) for name, pss in memory.most_common()]


def render(found: Iterable[Footprint]) -> str:
    """Return the table, with the sum as its last line."""
    rows = list(found)
    rows.append(Footprint("all", sum(row.memory for row in rows), sum(row.cores for row in rows)))
    lines = [f"{'service':<20}{'memory (MiB, PSS)':>20}{'cores':>8}"]
    return "\n".join([*lines, *(f"{row.service:<20}{row.memory:>20,.0f}{row.cores:>8.2f}" for row in rows)])


def measure(seconds: float) -> list[Footprint]:
    """Sample every node twice, `seconds` apart; MillraceError names the nodes that did not answer."""
    loaded = current_environment()
    nodes = loaded.topology.nodes
    services = {
        (name, service.unit): service.name
        for name, node in nodes.items()
        for service in loaded.catalogue.services.values()
        if service.runs_on(node.groups)
    }
    first, began = _sample(nodes), time.monotonic()
    time.sleep(seconds)
    last, elapsed = _sample(nodes), time.monotonic() - began
    return footprints(first, last, elapsed, services)


def _sample(nodes: Iterable[str]) -> Sample:
    answers = remote.run_each({node: ["sudo", "python3", "-c", _SAMPLE] for node in nodes})
    missing = sorted(node for node, answer in answers.items() if answer is None)
    if missing:
        message = f"no answer from {', '.join(missing)}"
        raise MillraceError(message)
    return {
        key: process
        for node, answer in answers.items()
        if answer is not None
        for key, process in parse(node, answer).items()
    }


def main(argv: list[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="millrace footprint")
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, help="how long to measure (60)")
    seconds = parser.parse_args(argv).seconds
    say(f"measuring for {seconds:.0f} s")
    say(render(measure(seconds)))
    return 0
