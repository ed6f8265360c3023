"""Parts (a) and (f): readings a second, beside other ways to write them, and as the load changes."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import contest
import jdbc
import probe
import stage
from contest import Load
from figures import Figure, at_least, of_runs, ratios
from visibility import MeasurementError

from millrace.console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_ROUNDS = 5  # of (a)
VARIANT_ROUNDS = 3  # of (f)
# Backlogs that a job drains before any counts: a third of its executors' processor time goes to the JVM's
# compilers at first. What the deployed job did in some minutes of work, and the JDBC writer's has its share.
WARM_UPS = 6
VARIANT_WARM_UPS = 3
EVERY = 1000  # rows a transaction of the row-by-row INSERT
UNIT = "readings/s"
JOB = (
    "an instance of the deployed job on a topic and a database of the bench's own, warm, without the lake: "
    "its next batch is held by a lock on the ledger until all messages are in the topic, then from the held "
    "batch's commit to the last one"
)
COPY = (
    "psycopg2 on the database's own node: COPY of the same rows from a file of the server's, with its commit"
)
JDBC = (
    "a Spark application with as many slots, warm: reads the same messages from Kafka, parses them without "
    "validation, rules or aggregates, batchsize 5000, reWriteBatchedInserts"
)
INSERT = "psycopg2 on the apps node, over TLS: one INSERT statement a row"
SAME = "same hypertable, indexes and rows already stored; rows deleted, VACUUM and CHECKPOINT between runs"


def rounds() -> int:
    """Return how many rounds (a) has."""
    chosen = int(os.environ.get("ROUNDS") or LEAST_ROUNDS)
    if chosen < 1:
        message = f"ROUNDS={chosen}: at least 1"
        raise MeasurementError(message)
    return chosen


def load() -> Load:
    """Return the load of (a): ROWS readings a round, and as many stored before."""
    rows = int(os.environ.get("ROWS") or 600_000)
    return Load(rows, rows, seed=int(os.environ.get("SEED") or 1))


def compare() -> list[Figure]:
    """Measure (a): the job, server-side COPY, Spark's JDBC writer and row-by-row INSERT, in turns."""
    work = load()
    few, fewer = min(work.rows, 20_000), min(work.rows, 2_000)
    runs: dict[str, list[float]] = {way: [] for way in ("job", "COPY", "JDBC", "batched", "single")}
    seconds: list[float] = []
    with (
        stage.deployed_job_stopped(),
        contest.on_stage(work) as stand,
        jdbc.application(stand.topic) as application,
    ):
        for number in range(WARM_UPS):
            found = {"job": stand.job().rate, "JDBC": stand.jdbc(application)}
            say(f"  warm-up {number + 1} of {WARM_UPS}: {_line(found)}")
        for number in range(rounds()):
            window = stand.job()
            found = {
                "job": window.rate,
                "COPY": stand.copy(),
                "JDBC": stand.jdbc(application),
                "batched": stand.insert(few, EVERY),
                "single": stand.insert(fewer, 1),
            }
            say(f"  round {number + 1}: {_line(found)}")
            seconds.append(window.seconds)
            for way, rate in found.items():
                runs[way].append(rate)
    probe.wait_until("readings to flow again", probe.flowing)
    return comparison(runs, seconds, work, (few, fewer))


def _line(found: dict[str, float]) -> str:
    return ", ".join(f"{way} {rate:,.0f}/s" for way, rate in found.items())


def comparison(
    runs: dict[str, list[float]], seconds: Sequence[float], work: Load, inserts: tuple[int, int]
) -> list[Figure]:
    """Return (a)'s figures from the rates of each round; `seconds` are the job's windows."""
    size = (
        f"{work.rows:,} readings of {work.sensors} sensors a round, {work.partitions} partitions, "
        f"after {WARM_UPS} rounds of job and JDBC writer that do not count; {SAME}"
    )
    few, fewer = inserts
    each = [
        ("Kafka → TimescaleDB through the job", "job", f"{JOB}; {size}"),
        ("server-side COPY", "COPY", COPY),
        ("Spark's JDBC writer", "JDBC", JDBC),
        (f"row-by-row INSERT, {EVERY:,} rows a transaction", "batched", f"{INSERT}; {few:,} rows"),
        ("row-by-row INSERT, a transaction each", "single", f"{INSERT}; {fewer:,} rows"),
    ]
    found = [of_runs(f"a: {name}", runs[way], UNIT, how) for name, way, how in each]
    found.append(of_runs("a: the job's window", seconds, "s", "how long the job had a backlog, a round"))

    def beside(name: str, way: str) -> Figure:
        how = "median of the rounds' ratios; in each round one run after the other"
        return of_runs(f"a: the job beside {name}", ratios(runs["job"], runs[way]), "times", how)

    return [
        *found,
        at_least(beside("server-side COPY", "COPY"), 0.6, 0.4),
        at_least(beside("Spark's JDBC writer", "JDBC"), 1.5),
        at_least(beside(f"row-by-row INSERT, {EVERY:,} rows a transaction", "batched"), 20),
        beside("row-by-row INSERT, a transaction each", "single"),
    ]


def variants(work: Load) -> dict[str, Load]:
    """Return what (f) changes, one thing at a time; the first one is what the others are held against."""
    return {
        "3 partitions": work,
        "1 partition": replace(work, partitions=1),
        "6 partitions": replace(work, partitions=6),
        "10 times the sensors": replace(work, sensors=10 * work.sensors),
        "10 times the rows already stored": replace(work, stored=10 * work.stored),
    }


def vary() -> list[Figure]:
    """Measure (f): the job under each variant, each beside server-side COPY on the same stage."""
    work = load()
    # Half of (a)'s: five stages are prepared, one after the other.
    work = replace(work, rows=work.rows // 2, stored=work.stored // 2)
    found: dict[str, tuple[list[float], list[float]]] = {}
    with stage.deployed_job_stopped():
        for name, variant in variants(work).items():
            with contest.on_stage(variant) as stand:
                for _ in range(VARIANT_WARM_UPS):
                    stand.job()
                rates = [(stand.job().rate, stand.copy()) for _ in range(VARIANT_ROUNDS)]
            found[name] = ([rate for rate, _ in rates], [copy for _, copy in rates])
            say(f"  {name}: {_line({'job': found[name][0][-1], 'COPY': found[name][1][-1]})}")
    probe.wait_until("readings to flow again", probe.flowing)
    return variation(found, work)


def variation(found: dict[str, tuple[list[float], list[float]]], work: Load) -> list[Figure]:
    """Return (f)'s figures from the rates of job and COPY under each variant, the first one the base."""
    how = (
        f"as in (a), {work.rows:,} readings a round of {work.sensors} sensors, {work.stored:,} rows stored, "
        f"after {VARIANT_WARM_UPS} that do not count, one slot a partition; "
        "only what the name says is changed"
    )
    figures = []
    for name, (job, copy) in found.items():
        figures.append(of_runs(f"f: {name}: the job", job, UNIT, how))
        beside = "rounds in turns, on the same stage: what the machine did meanwhile is in both"
        figures.append(of_runs(f"f: {name}: beside server-side COPY", ratios(job, copy), "times", beside))
    return figures
