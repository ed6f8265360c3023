"""The commands `sensors-lake`, which a timer runs for maintenance, and `sensors-lake-restore`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping  # noqa: TC003 - load_config reads the annotations at run time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from millrace_common.config import setting
from millrace_common.logs import fields
from millrace_common.postgres import PostgresSettings  # noqa: TC001 - load_config reads the annotations
from millrace_common.service import run_command
from sensors_job.config import LakeSettings  # noqa: TC001 - as above
from sensors_job.lake import rules as lake
from sensors_job.lake.table import LakeTable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

log = logging.getLogger(__name__)

SESSION = {
    "spark.sql.session.timeZone": "UTC",
    # Expiry would otherwise run 200 tasks on a handful of rows.
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
# For what a person runs: a driver that computes in one thread, and needs no cluster and no fixed port.
# It does little but start, which with the first of the JVM's two compilers alone is half the work.
LOCAL = {
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.master": "local[1]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.port": "0",
    "spark.driver.blockManager.port": "0",
    "spark.eventLog.enabled": "false",
}


@dataclass(frozen=True)
class MaintenanceSettings:
    """All settings of the lake's commands."""

    lake: LakeSettings
    postgres: PostgresSettings
    """For sensors-history alone."""
    topic: str = "sensors.measurements"
    keep_hours: int = setting(24, minimum=0)
    """How long snapshots are kept, for readers that are at one and for going back."""
    small_files: int = setting(2, minimum=2)
    """A day with at least so many small files is written anew."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    spark: Mapping[str, str] = field(default_factory=dict)


def compaction(settings: MaintenanceSettings) -> str:
    """Return the statement that writes the days with many small files anew, in the table's sort order."""
    catalog, table = settings.lake.catalog, settings.lake.table
    options = {"min-input-files": settings.small_files, "max-concurrent-file-group-rewrites": 1}
    texts = ", ".join(f"'{key}', '{value}'" for key, value in options.items())
    return (
        f"CALL {catalog}.system.rewrite_data_files(table => '{table}', strategy => 'sort', "
        f"options => map({texts}))"
    )


def expiry(settings: MaintenanceSettings, now_ms: int, ledger_ms: int) -> str:
    """Return the statement that expires the snapshots that are too old.

    It keeps those since the ledger's too, however old that is, so that the way back to it is never broken.
    """
    limit = datetime.fromtimestamp(min(now_ms - settings.keep_hours * 3_600_000, ledger_ms) / 1000, UTC)
    text = limit.isoformat(" ", "milliseconds").removesuffix("+00:00")
    catalog, table = settings.lake.catalog, settings.lake.table
    return (
        f"CALL {catalog}.system.expire_snapshots(table => '{table}', "
        f"older_than => TIMESTAMP '{text}', retain_last => 1)"
    )


def maintain(spark: Any, settings: MaintenanceSettings) -> None:  # noqa: ANN401 - pyspark
    """Compact, then expire; LedgerError, and nothing expires, where the ledger isn't sure.

    Safe while the query appends: each of them commits on top of what the other one has committed.
    """
    table = LakeTable(spark, settings.lake, settings.topic)
    if not spark.catalog.tableExists(settings.lake.name) or table.tag() is None:
        log.info("the lake has no rows yet", extra=fields(table=settings.lake.name))
        return
    rewritten = spark.sql(compaction(settings)).first().asDict()
    log.info("compacted", extra=fields(**rewritten))
    # Once more: the query may have appended meanwhile, and what it left is the newest ledger now.
    ledger = table.tag()
    if ledger is None:
        message = "the lake's table has lost its snapshots under the maintenance's hands"
        raise lake.LedgerError(message)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    expired = spark.sql(expiry(settings, now_ms, ledger.entry.committed_ms)).first().asDict()
    log.info("expired", extra=fields(**expired))
    size = spark.sql(
        "SELECT count(*) AS files, sum(record_count) AS rows, sum(file_size_in_bytes) AS bytes "  # noqa: S608 - our own text
        f"FROM {settings.lake.name}.files"
    ).first()
    log.info("the lake's size", extra=fields(**size.asDict()))


def build_session(settings: MaintenanceSettings, conf: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - pyspark
    """Return the Spark session of a command, `conf` winning over everything else."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - only on the nodes

    merged = {**SESSION, **lake.session_conf(settings.lake), **settings.spark, **(conf or {})}
    builder = SparkSession.builder.appName("sensors-lake")
    for key, value in merged.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


@contextmanager
def session(settings: MaintenanceSettings, conf: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Yield the Spark session of a command, as build_session() makes it, and stop it."""
    spark = build_session(settings, conf)
    try:
        yield spark
    finally:
        spark.stop()


def run(options: argparse.Namespace, settings: MaintenanceSettings, _stop: threading.Event) -> int:
    """Do the maintenance once, as the command line has it; return 0."""
    if options.keep_hours is not None:
        settings = replace(settings, keep_hours=options.keep_hours)
    with session(settings, LOCAL if options.local else None) as spark:
        maintain(spark, settings)
    return 0


def run_restore(options: argparse.Namespace, settings: MaintenanceSettings, _stop: threading.Event) -> int:
    """Write the ledger anew from the rows; return 0."""
    with session(settings, LOCAL) as spark:
        offsets = LakeTable(spark, settings.lake, settings.topic).restore(dict(options.skip_to))
    log.info("the lake's ledger was written anew", extra=fields(topic=settings.topic, offsets=offsets))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Compact the lake's table and expire its old snapshots; 1 on failure, 2 if it was called wrongly."""
    parser = argparse.ArgumentParser(
        "sensors-lake", description="Compact the lake and expire its old snapshots."
    )
    parser.add_argument("--local", action="store_true", help="compute here, not on the Spark cluster")
    parser.add_argument(
        "--keep-hours", type=int, metavar="HOURS", help="how long snapshots are kept, over the settings' own"
    )
    return run_command(parser, MaintenanceSettings, run, arguments)


def parse_place(text: str) -> tuple[int, int]:
    """Return PARTITION=OFFSET as numbers; ValueError."""
    partition, _, offset = text.partition("=")
    return int(partition), int(offset)


def restore(arguments: list[str] | None = None) -> int:
    """Write a lost ledger anew, by a person's decision; 1 on failure, 2 if it was called wrongly."""
    parser = argparse.ArgumentParser(
        "sensors-lake-restore",
        description="Write the lake's ledger anew from its rows. Stop sensors-job and sensors-lake first.",
    )
    parser.add_argument(
        "--skip-to",
        action="append",
        default=[],
        type=parse_place,
        metavar="PARTITION=OFFSET",
        help="give up the messages of a partition below an offset; for each partition that needs it",
    )
    return run_command(parser, MaintenanceSettings, run_restore, arguments)
