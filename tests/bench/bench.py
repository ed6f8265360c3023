"""`make bench`: measures the running lab and writes reports/bench.json and docs/benchmarks.md.

PARTS=a,b,c,d,e,f,g, ROUNDS=5 (of a), ROWS=600000 (a round of a), SEED=1 and BENCH_SECONDS=120 (of d) come
from the environment. What a part needed is removed and what it stopped is started again, also when it is
broken off. Exit status 1 when a part could not be measured; a goal that is missed is reported and is no
failure.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import buffering
import latency
import page
import probe
import rest
import storage
import throughput
from figures import Figure, from_json, merged, to_json
from visibility import MeasurementError

from millrace.console import MillraceError, say
from millrace.model.current import require_disposable
from millrace.paths import repo_root
from millrace.verbs import durations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPORT = repo_root() / "reports" / "bench.json"
PAGE = repo_root() / "docs" / "benchmarks.md"
# In this order: first what wants a lab that is warm and at rest, last what stops the deployed job.
PARTS: Mapping[str, Callable[[], list[Figure]]] = {
    "d": rest.at_rest,
    "e": rest.recorded,
    "b": latency.measure,
    "c": storage.measure,
    "g": buffering.measure,
    "a": throughput.compare,
    "f": throughput.vary,
}
ALL = "a,b,c,d,e,f,g"


def chosen(text: str) -> list[str]:
    """Return the parts that PARTS names, in the order in which they are to run; MillraceError."""
    wanted = {part.strip() for part in text.split(",")}
    if not wanted <= set(PARTS):
        message = f"PARTS={text}: expected some of {ALL}"
        raise MillraceError(message)
    return [part for part in PARTS if part in wanted]


def circumstances(part: str, seconds: float) -> Figure:
    """Return when, of what and on what machine the part was measured, as a figure without a goal."""
    cores = os.cpu_count() or 0
    meminfo = Path("/proc/meminfo").read_text(encoding="utf-8")
    memory = int(meminfo.split("MemTotal:")[1].split()[0]) / (1 << 20)
    models = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    machine = f"{cores} cores{f' ({models[0]})' if models else ''}, {memory:.1f} GiB of memory"
    load = os.getloadavg()[0]
    how = f"commit {durations.commit()}; {machine}; the part took {seconds:.0f} s; load at its end {load:.1f}"
    return Figure(f"{part}: measured", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "", how)


def before() -> list[Figure]:
    """Return the figures of earlier runs."""
    return from_json(json.loads(REPORT.read_text(encoding="utf-8"))) if REPORT.exists() else []


def write(figures: Sequence[Figure]) -> None:
    """Write report and page, the page from the report; ValueError where its notes would be lost."""
    notes = page.notes(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else page.NOTES
    REPORT.parent.mkdir(exist_ok=True)
    text = json.dumps(to_json(figures), indent=2, ensure_ascii=False)
    REPORT.write_text(text + "\n", encoding="utf-8")
    PAGE.write_text(page.render(from_json(json.loads(text)), notes), encoding="utf-8")


def run(parts: Sequence[str]) -> list[str]:
    """Measure the parts, each written as soon as it is there; return a line for each that could not be."""
    failed = []
    for part in parts:
        say(f"==> ({part}) {page.TITLES[part]}")
        began = time.monotonic()
        try:
            found = PARTS[part]()
        except (MeasurementError, MillraceError, AssertionError) as error:
            failed.append(f"({part}): {error}")
            say(f"  not measured: {error}")
            continue
        found.append(circumstances(part, time.monotonic() - began))
        write(merged(before(), found, [part]))
        say(page.summary(found))
    return failed


def main() -> int:
    """Run `make bench`."""
    # So that whoever ends this also gets the lab back as it was.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        require_disposable(probe.ENVIRONMENT.topology)
        failed = run(chosen(os.environ.get("PARTS") or ALL))
    except (MillraceError, ValueError) as error:
        sys.stderr.write(f"make bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(
            "make bench: interrupted; what it made is removed, what was measured before is kept\n"
        )
        return 130
    for line in failed:
        sys.stderr.write(f"make bench: {line}\n")
    say(f"figures in {REPORT.relative_to(repo_root())}, to read in {PAGE.relative_to(repo_root())}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
