"""The second streaming query: all valid messages into the lake, supervised by a thread of the driver.

The lake may be down for long, and the database's query must not notice. So a failure here ends only this
query; the thread starts it again, after pauses that grow, and until then health tells why in its details.
"""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace_common.logs import fields
from sensors_job import kafka_source
from sensors_job.checkpoint import fresh_checkpoint
from sensors_job.judge import sql_path
from sensors_job.lake import rules as lake
from sensors_job.lake.table import LakeTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensors_job.config import JobSettings, LakeSettings
    from sensors_job.lake.metrics import LakeMetrics

log = logging.getLogger(__name__)

POOL = "lake"
LOOK_SECONDS = 5
STOP_SECONDS = 5
"""How long a stop waits for the batch under way: the ledger makes it harmless to break it off."""


class QueryRun:
    """One start of the query: where it began, and its checkpoint."""

    def __init__(self, start: lake.Offsets, checkpoint: Path) -> None:
        """Remember; `start` becomes the end of each batch that was written."""
        self.start = start
        self._checkpoint = checkpoint

    def end(self, batch_id: int, topic: str) -> lake.Offsets:
        """Return the end of a batch, which Spark has written down before it runs it."""
        text = (self._checkpoint / "offsets" / str(batch_id)).read_text(encoding="utf-8")
        return lake.parse_offset_log(text, topic)


class LakeQuery:
    """Runs the query in a thread, starts it again when it fails, and says how it is."""

    def __init__(self, settings: JobSettings, lake_settings: LakeSettings, metrics: LakeMetrics) -> None:
        """Prepare; start() begins."""
        self._settings = settings
        self._lake = lake_settings
        self._metrics = metrics
        self._topic = settings.topics.measurements
        self._stages = sql_path.stages(settings.limits, settings.types)
        self._busy = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = "not started yet"
        self._failing = False
        self._error: Exception | None = None
        self._seen: lake.Offsets = {}
        self._pause = lake_settings.first_pause_seconds

    def start(self, spark: Any) -> None:  # noqa: ANN401 - pyspark
        """Begin, in a thread: it returns at once, whatever the lake is doing."""
        self._thread = threading.Thread(target=self.supervise, args=(spark,), name="lake", daemon=True)
        self._thread.start()

    def supervise(self, spark: Any) -> None:  # noqa: ANN401 - pyspark
        """Keep the query running until stop()."""
        while not self._stop.is_set():
            query = None
            try:
                query = self._begin(spark)
                self._watch(query)
            except Exception as error:  # noqa: BLE001 - whatever it is, the database's query goes on
                self._failed(error)
            finally:
                if query is not None:
                    query.stop()

    def _begin(self, spark: Any) -> Any:  # noqa: ANN401 - pyspark
        """Start the query at the ledger's offsets; LedgerError when the topic no longer has them."""
        context = spark.sparkContext
        context.setLocalProperty("spark.scheduler.pool", POOL)
        available = kafka_source.available_offsets(context._jvm, self._settings.kafka, self._topic)  # noqa: SLF001 - pyspark's only way to the JVM
        # First, as the lake may be away: then the lag is told by where it was last seen.
        self._tell_lag(available)
        table = LakeTable(spark, self._lake, self._topic)
        table.make()
        ledger = table.ledger()
        offsets = lake.starting_offsets(ledger.to if ledger else {}, self._topic, available)
        self._seen = offsets
        self._metrics.offsets(offsets)
        self._tell_lag(available)
        log.info("the lake starts at its ledger's offsets", extra=fields(topic=self._topic, offsets=offsets))
        directory = Path(self._settings.run_directory) / "lake"
        directory.mkdir(exist_ok=True)
        checkpoint = fresh_checkpoint(directory)
        options = kafka_source.source_options(self._settings, offsets)
        options["maxOffsetsPerTrigger"] = str(self._lake.max_offsets_per_trigger)
        query = (
            spark.readStream.format("kafka")
            .options(**options)
            .load()
            .writeStream.queryName("lake")
            .foreachBatch(partial(self.batch, table, QueryRun(offsets, checkpoint)))
            .trigger(processingTime=f"{self._lake.trigger_seconds} seconds")
            .option("checkpointLocation", checkpoint.as_uri())
            .start()
        )
        self._state = f"started again after it had {self._state}" if self._failing else "running"
        self._metrics.running(running=True)
        return query

    def _tell_lag(self, available: Mapping[int, tuple[int, int]]) -> None:
        """Set the lag of the offsets last seen; it stays unknown until the lake has been reached once."""
        if self._seen:
            ends = {partition: end for partition, (_, end) in available.items()}
            self._metrics.lag(sum(end - self._seen.get(partition, 0) for partition, end in ends.items()))

    def batch(self, table: LakeTable, run: QueryRun, messages: Any, batch_id: int) -> None:  # noqa: ANN401 - pyspark
        """Append one micro-batch; an exception fails the query, and its next start resumes from the ledger.

        Only one batch runs at a time, also while an earlier start of the query is still ending, so that
        nobody else commits between reading the ledger and the commit.
        """
        try:
            with self._busy:
                end = run.end(batch_id, self._topic)
                appended = self._append(table, run, messages, end)
                run.start = self._seen = {**run.start, **end}
        except Exception as error:
            # Spark's own report of it would be a page long.
            self._error = error
            raise
        self._pause = self._lake.first_pause_seconds
        self._failing, self._state = False, "running"
        self._metrics.offsets(run.start)
        self._metrics.batch(appended)
        log.info("appended to the lake", extra=fields(batch=batch_id, rows=appended, to=end))

    def _append(self, table: LakeTable, run: QueryRun, messages: Any, end: lake.Offsets) -> int:  # noqa: ANN401 - pyspark
        """Append what the ledger has not got of the messages up to `end`; return how many rows that were."""
        ledger = table.ledger()
        step = lake.next_step(ledger.to if ledger else {}, run.start, end)
        if step is None:
            return 0
        rows = messages if step.unseen is None else messages.where(step.unseen)
        for columns in self._stages:
            rows = rows.selectExpr(*columns)
        return table.append(rows.where("reason IS NULL").selectExpr(*lake.COLUMNS), step)

    def _watch(self, query: Any) -> None:  # noqa: ANN401 - pyspark
        """Return when stop() was called; when the query has ended, raise what ended it."""
        reported = -1
        while not self._stop.wait(LOOK_SECONDS):
            if not query.isActive and self._error is not None:
                raise self._error
            if not query.isActive:
                message = f"the query has ended: {query.exception()}"
                raise RuntimeError(message)
            reported = self._observe(query.lastProgress, reported)

    def _observe(self, progress: Any, reported: int) -> int:  # noqa: ANN401 - pyspark
        """Take the lag from a progress report, unless it is the one `reported`; return its number."""
        if progress is None or progress["batchId"] == reported:
            return reported
        # As JSON, since pyspark makes texts of the offsets in the object itself.
        lag = kafka_source.lag(json.loads(progress.json))
        if lag is not None:
            self._metrics.lag(lag)
        return int(progress["batchId"])

    def _failed(self, error: Exception) -> None:
        """Say why, then wait; each wait is twice as long as the one before it, until a batch succeeds."""
        pause, self._pause = self._pause, min(2 * self._pause, self._lake.longest_pause_seconds)
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:300]}"
        self._failing, self._error = True, None
        self._state = f"failed, {reason}"
        self._metrics.running(running=False)
        self._metrics.failure()
        log.error("the lake's query failed", exc_info=error, extra=fields(reason=reason, pause_seconds=pause))
        self._stop.wait(pause)

    def detail(self) -> str:
        """Return how the query is, for health: a failure here does not make the job unhealthy."""
        return self._state

    def stop(self) -> None:
        """End the thread and the query; a batch under way gets a little time."""
        self._stop.set()
        if self._busy.acquire(timeout=STOP_SECONDS):
            self._busy.release()
        if self._thread is not None:
            self._thread.join(timeout=STOP_SECONDS)
