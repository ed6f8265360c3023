"""The lake's Iceberg table, through a Spark session: made, read for its ledger, appended to, tagged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from millrace_common.logs import fields
from sensors_job.lake import rules as lake
from sensors_job.lake.rules import Entry, Ledger, LedgerError, Offsets, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensors_job.config import LakeSettings

log = logging.getLogger(__name__)
TAG_ATTEMPTS = 10
"""Iceberg repeats other commits on top of the one that came first, but not a tag's: the caller has to."""


class LakeTable:
    """The table that `settings` name, its ledger being that of `topic`."""

    def __init__(self, spark: Any, settings: LakeSettings, topic: str) -> None:  # noqa: ANN401 - pyspark
        """Prepare; nothing is read yet."""
        self._spark = spark
        self._settings = settings
        self._topic = topic

    def make(self) -> None:
        """Make the table unless it is there; LedgerError if its metadata are gone, but not its data."""
        name = self._settings.name
        if not self._spark.catalog.tableExists(name):
            if self._has_data():
                message = f"{name} has data files, but no metadata; {lake.RUNBOOK}"
                raise LedgerError(message)
            self._spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {name.rpartition('.')[0]}")
            self._spark.sql(lake.create_table(name, self._settings.properties))
            log.info("made the lake's table", extra=fields(table=name))
        table = self._load()
        if table.sortOrder().isUnsorted():
            iceberg = self._spark.sparkContext._jvm.org.apache.iceberg  # noqa: SLF001 - pyspark's only way to the JVM
            order = table.replaceSortOrder()
            for column in lake.SORT_ORDER:
                order.asc(iceberg.expressions.Expressions.ref(column), iceberg.NullOrder.NULLS_LAST)
            order.commit()

    def _has_data(self) -> bool:
        jvm = self._spark.sparkContext._jvm  # noqa: SLF001 - as above
        directory = self._settings.table.replace(".", "/")
        path = jvm.org.apache.hadoop.fs.Path(f"{self._settings.warehouse}/{directory}/data")
        files = path.getFileSystem(self._spark._jsparkSession.sessionState().newHadoopConf())  # noqa: SLF001 - as above
        return bool(files.exists(path))

    def ledger(self) -> Ledger | None:
        """Return the ledger; None for a table without a snapshot. LedgerError: see find_ledger()."""
        table = self._load()
        return lake.find_ledger(_history(table), _tagged(table), self._topic)

    def append(self, messages: Any, step: Step) -> int:  # noqa: ANN401 - pyspark
        """Append the rows of `messages` (already lake.COLUMNS) with the step's offsets in one commit.

        Return how many rows that were. LedgerError if it was not the next commit after the ledger's.
        """
        # One task, so that the database's tasks keep the other slots, and one file for each day.
        (
            messages.coalesce(1)
            .writeTo(self._settings.name)
            .option(f"snapshot-property.{lake.PROPERTY}", lake.summary(self._topic, step.start, step.to))
            .append()
        )
        ledger = self.ledger()
        if ledger is None or ledger.to != step.to:
            message = f"after the commit of {step.to} the lake's ledger is {ledger and ledger.to}"
            raise LedgerError(message)
        return int(self._load().snapshot(ledger.entry.snapshot_id).summary().get("added-records") or 0)

    def tag(self) -> Ledger | None:
        """Let the tag keep the newest snapshot with offsets; return that, or None for a new table."""
        from py4j.protocol import Py4JJavaError  # noqa: PLC0415 - only on the nodes

        attempts = 0
        while (ledger := self.ledger()) is not None:
            try:
                self._tag(ledger.entry.snapshot_id)
            except Py4JJavaError as error:
                attempts += 1
                if attempts == TAG_ATTEMPTS or not _came_second(error):
                    raise
                log.info("another commit came first; tagging again", extra=fields(attempts=attempts))
            else:
                return ledger
        return None

    def _tag(self, snapshot_id: int) -> None:
        table = self._load()
        tagged = _tagged(table)
        if tagged is None:
            table.manageSnapshots().createTag(lake.TAG, snapshot_id).commit()
        elif tagged.snapshot_id != snapshot_id:
            table.manageSnapshots().replaceTag(lake.TAG, snapshot_id).commit()

    def restore(self, skip_to: Offsets) -> Offsets:
        """Write the ledger anew from the rows, as a snapshot without any; return the offsets.

        `skip_to` moves partitions forward, giving up what lies between; never back, which would double rows.
        Exact while no job appends: what lies beyond a partition's last row held no readings.
        """
        name = self._settings.name
        rows = self._spark.sql(
            "SELECT source_partition, max(source_offset) + 1 AS next "  # noqa: S608 - our own text
            f"FROM {name} GROUP BY source_partition"
        ).collect()
        offsets = {row.source_partition: row.next for row in rows}
        offsets |= {
            partition: max(offset, offsets.get(partition, 0)) for partition, offset in skip_to.items()
        }
        (
            self._spark.table(name)
            .where("false")
            .writeTo(name)
            .option(f"snapshot-property.{lake.PROPERTY}", lake.summary(self._topic, {}, offsets))
            .append()
        )
        return offsets

    def _load(self) -> Any:  # noqa: ANN401 - py4j
        spark3 = self._spark.sparkContext._jvm.org.apache.iceberg.spark.Spark3Util  # noqa: SLF001 - as above
        return spark3.loadIcebergTable(self._spark._jsparkSession, self._settings.name)  # noqa: SLF001 - as above


def _came_second(error: Any) -> bool:  # noqa: ANN401 - py4j
    return str(error.java_exception.getClass().getSimpleName()) == "CommitFailedException"


def _history(table: Any) -> Iterator[Entry | None]:  # noqa: ANN401 - py4j
    snapshot = table.currentSnapshot()
    while snapshot is not None:
        yield _entry(snapshot)
        parent = snapshot.parentId()
        if parent is None:
            return
        snapshot = table.snapshot(parent)
    if table.currentSnapshot() is not None:
        yield None


def _tagged(table: Any) -> Entry | None:  # noqa: ANN401 - py4j
    reference = table.refs().get(lake.TAG)
    return None if reference is None else _entry(table.snapshot(reference.snapshotId()))


def _entry(snapshot: Any) -> Entry:  # noqa: ANN401 - py4j
    summary = snapshot.summary()
    return Entry(
        int(snapshot.snapshotId()),
        int(snapshot.timestampMillis()),
        int(summary.get("total-records") or 0),
        summary.get(lake.PROPERTY),
    )
