"""The lake's rules, without I/O: its table, its view, and the ledger in the summaries of its snapshots.

docs/exactly-once.md, "The lake", has the argument.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensors_job import kafka_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensors_job.config import LakeSettings

Offsets = dict[int, int]
"""Partition of the topic -> offset."""

RUNBOOK = "see docs/exactly-once.md, 'When the lake's ledger is lost'"
TAG = "ledger"
"""The tag that keeps the newest snapshot with offsets from expiring."""
PROPERTY = "millrace.ledger"
"""The key in a snapshot's summary; its value is JSON, see summary()."""

COLUMNS = [
    "event_time",
    "sensor_id",
    "type",
    "reading AS value",
    "partition AS source_partition",
    "offset AS source_offset",
    "timestamp AS appended_at",
]
"""From a row that the validation found good to a row of the table."""

SORT_ORDER = ("sensor_id", "type", "event_time")
SCHEMA = (
    "event_time TIMESTAMP NOT NULL, sensor_id STRING NOT NULL, type STRING NOT NULL, value DOUBLE NOT NULL, "
    "source_partition INT NOT NULL, source_offset BIGINT NOT NULL, appended_at TIMESTAMP NOT NULL"
)
PROPERTIES = {
    "format-version": "2",
    # Pages of version 2 have delta encodings, which make times and offsets half as large or less
    # (docs/data-lifecycle.md).
    "write.parquet.page-version": "v2",
    "write.parquet.page-row-limit": "1000000",
    "write.parquet.page-size-bytes": str(8 << 20),
    # Room for values in steps of 0.01; times and offsets soon overrun it, and then get the delta encoding.
    "write.parquet.dict-size-bytes": str(256 << 10),
    "write.parquet.compression-codec": "zstd",
    "write.parquet.compression-level": "9",
    "write.target-file-size-bytes": str(128 << 20),
    # Each append is one task, so there is nothing to shuffle; what it sorts is its own.
    "write.distribution-mode": "none",
    # A day of snapshots is a megabyte of JSON, and each commit writes it anew.
    "write.metadata.compression-codec": "gzip",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    # Appends, compaction and expiry commit beside one another: who comes second commits on top of the first.
    "commit.retry.num-retries": "10",
}


class LedgerError(RuntimeError):
    """The lake's ledger is lost or contradicts what Spark hands over: going on could lose or double rows."""


@dataclass(frozen=True)
class Entry:
    """One snapshot, as the ledger needs it; `ledger` is the text of PROPERTY, `records` the rows in all."""

    snapshot_id: int
    committed_ms: int
    records: int
    ledger: str | None


@dataclass(frozen=True)
class Ledger:
    """The offsets that a commit took the table `to`, where it began, and the snapshot that says so."""

    entry: Entry
    topic: str
    start: Offsets
    to: Offsets


@dataclass(frozen=True)
class Step:
    """What a batch is to append: the rows that `unseen` (SQL; None: all) lets through, and its offsets."""

    start: Offsets
    to: Offsets
    unseen: str | None


def session_conf(settings: LakeSettings) -> dict[str, str]:
    """Return Spark's settings: the catalog, the file system below it, the queries' shares of the slots."""
    catalog = f"spark.sql.catalog.{settings.catalog}"
    return {f"spark.hadoop.{key}": value for key, value in settings.hadoop.items()} | {
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "hadoop",
        f"{catalog}.warehouse": settings.warehouse,
        # The ledger is read from the table as it is, never from memory.
        f"{catalog}.cache-enabled": "false",
        "spark.scheduler.mode": "FAIR",
        "spark.scheduler.allocation.file": Path(__file__).with_name("pools.xml").as_uri(),
    }


def create_table(table: str, properties: Mapping[str, str]) -> str:
    """Return the statement that makes `table` with PROPERTIES, over which `properties` win."""
    merged = ", ".join(f"'{key}' = '{value}'" for key, value in sorted({**PROPERTIES, **properties}.items()))
    return (
        f"CREATE TABLE {table} ({SCHEMA}) USING iceberg PARTITIONED BY (days(event_time)) "
        f"TBLPROPERTIES ({merged})"
    )


def distinct_readings(table: str) -> str:
    """Return the query of each reading once, for a temporary view: a Hadoop catalog keeps no views.

    Of the messages with one identity the first wins, as in the database. Filters on sensor_id, type and
    event_time reach the files.
    """
    columns = ", ".join(column.split()[-1] for column in COLUMNS)
    return (
        f"SELECT {columns} FROM "  # noqa: S608 - our own text
        "(SELECT *, row_number() OVER (PARTITION BY sensor_id, type, event_time "
        f"ORDER BY source_partition, source_offset) AS place FROM {table}) WHERE place = 1"
    )


def summary(topic: str, start: Offsets, to: Offsets) -> str:
    """Return the text of PROPERTY: {"topic", "start", "to"}, offsets by partition."""
    return json.dumps({"topic": topic, "start": _texts(start), "to": _texts(to)})


def _texts(offsets: Offsets) -> dict[str, int]:
    return {str(partition): offset for partition, offset in sorted(offsets.items())}


def find_ledger(history: Iterable[Entry | None], tagged: Entry | None, topic: str) -> Ledger | None:
    """Return the newest ledger for `topic` in a table's history; None for a table that never had a snapshot.

    `history` goes from the current snapshot to its ancestors; None in it stands for one that has expired.
    `tagged` is the snapshot of TAG, if there is one. LedgerError when there is no ledger to be sure of.
    """
    current = None
    found: Ledger | None = None
    for entry in history:
        if entry is None:
            break
        current = current or entry
        if entry.ledger is None:
            continue
        if found is not None:
            _check_succession(_parse(entry), found)
            return found
        found = _ledger(entry, topic)
    if found is not None or current is None:
        return found
    # The chain is broken. The tag still tells, if not one row has come since: then what may have been
    # committed after it held no readings, and reading it again adds none.
    if tagged is not None and tagged.ledger is not None and tagged.records == current.records:
        return _ledger(tagged, topic)
    message = f"the lake's table has rows, but none of its snapshots says up to which offset; {RUNBOOK}"
    raise LedgerError(message)


def _ledger(entry: Entry, topic: str) -> Ledger:
    ledger = _parse(entry)
    if ledger.topic != topic:
        message = f"the lake's ledger is of topic {ledger.topic!r}, not {topic!r}; {RUNBOOK}"
        raise LedgerError(message)
    return ledger


def _parse(entry: Entry) -> Ledger:
    data = json.loads(entry.ledger or "")
    start, to = ({int(p): offset for p, offset in data[name].items()} for name in ("start", "to"))
    return Ledger(entry, data["topic"], start, to)


def _check_succession(older: Ledger, newer: Ledger) -> None:
    """Raise LedgerError if `newer` did not begin where `older` ended: someone else was appending too."""
    if any(newer.start.get(partition, offset) != offset for partition, offset in older.to.items()):
        message = (
            f"snapshot {newer.entry.snapshot_id} begins at {newer.start}, but the one before it ended at "
            f"{older.to}: two jobs append to one table; {RUNBOOK}"
        )
        raise LedgerError(message)


def parse_offset_log(text: str, topic: str) -> Offsets:
    """Return the end of a micro-batch from the file that Spark writes into offsets/ before it runs it."""
    lines = text.splitlines()
    if len(lines) != 3 or lines[0] != "v1":  # noqa: PLR2004 - version, metadata, the one source's offsets
        message = f"Spark's offset log has a form that is not known: {text[:80]!r}"
        raise ValueError(message)
    return {int(partition): offset for partition, offset in json.loads(lines[2])[topic].items()}


def next_step(ledger: Offsets, start: Offsets, to: Offsets) -> Step | None:
    """Return what to append of a batch from `start` to `to`; None if the ledger has all of it.

    LedgerError where the batch begins above the ledger: the messages between would be lost. A partition that
    the ledger does not know begins with the batch.
    """
    known = {partition: ledger.get(partition, start.get(partition)) for partition in to}
    gaps = []
    for partition, expected in sorted(known.items()):
        begin = start.get(partition)
        if expected is None or begin is None:
            gaps.append(f"{partition}: new, and the query does not know where it begins")
        elif begin > expected:
            gaps.append(f"{partition}: the batch begins at {begin}, the ledger's next is {expected}")
    if gaps:
        message = f"a gap in the lake's offsets, partition {'; '.join(gaps)}"
        raise LedgerError(message)
    begins = {partition: offset for partition, offset in known.items() if offset is not None}
    ends = {partition: max(offset, begins[partition]) for partition, offset in to.items()}
    if ends == begins:
        return None
    unseen = None
    if begins != {partition: start[partition] for partition in to}:
        # Literals cost a compilation, so they are there only after a restart.
        unseen = " OR ".join(
            f"(partition = {p} AND offset >= {offset})" for p, offset in sorted(begins.items())
        )
    return Step({**ledger, **begins}, {**ledger, **ends}, unseen)


def starting_offsets(ledger: Offsets, topic: str, available: Mapping[int, tuple[int, int]]) -> Offsets:
    """Return where the query begins: at the ledger, and at the earliest offset of partitions it has not got.

    `available` maps each partition to its earliest offset and its end; LedgerError where the ledger's next
    offset lies outside.
    """
    begin = {partition: ledger.get(partition, earliest) for partition, (earliest, _) in available.items()}
    message = kafka_source.unreachable("lake", topic, begin, available)
    if message is not None:
        raise LedgerError(message)
    return begin
