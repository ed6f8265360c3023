"""The Spark application: one streaming query from Kafka to the sink."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace_common.logs import fields
from sensors_job import kafka_source
from sensors_job.checkpoint import fresh_checkpoint
from sensors_job.judge import fast_path, sql_path
from sensors_job.judge.plans import Plans
from sensors_job.judge.rules import anomaly_line
from sensors_job.lake import rules as lake
from sensors_job.store.driver_database import backfill_aggregates, read_rules, starting_offsets
from sensors_job.store.sink import STATS, Target, writer

if TYPE_CHECKING:
    from sensors_job.config import JobSettings
    from sensors_job.judge.plans import Plan, Stats
    from sensors_job.judge.rules import RuleSet
    from sensors_job.metrics import Metrics

log = logging.getLogger(__name__)

SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.variant.allowDuplicateKeys": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(32 << 20),
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    "spark.sql.streaming.minBatchesToRetain": "10",
    # Passwords reach Spark in option values; nothing that it prints or records may show them.
    "spark.redaction.regex": "(?i)secret|password|passwd|token|access[.]key|jaas",
    "spark.redaction.string.regex": '(?i)password=("[^"]*"|[^\\s;]+)',
    "spark.ui.showConsoleProgress": "false",
    # A partition's task goes where its consumer is, if that slot is free. While the lake's task has it, Spark
    # would wait for 3 s, with other slots idle and the batch standing still.
    "spark.locality.wait": "0s",
    # What the driver remembers of past batches costs memory, and there are 86,400 of them a day.
    "spark.sql.streaming.ui.retainedQueries": "2",
    "spark.sql.streaming.ui.retainedProgressUpdates": "20",
}


def build_session(settings: JobSettings) -> Any:  # noqa: ANN401 - pyspark comes with the node
    """Return the Spark session; where it runs and what executors import, Spark's own settings say."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - only on the nodes

    builder = SparkSession.builder.appName("sensors-job")
    beside = lake.session_conf(settings.lake) if settings.lake else {}
    for key, value in {**SESSION, **beside, **settings.spark}.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def map_in_arrow(rows: Any, function: Any, schema: str) -> Any:  # noqa: ANN401 - pyspark
    """Do what rows.mapInArrow(function, schema) does, without its demand for pandas on the driver.

    It would cost the driver some 40 MB, and nothing here uses it.
    """
    from pyspark.sql import DataFrame  # noqa: PLC0415 - only on the nodes
    from pyspark.sql.pandas.functions import (  # noqa: PLC0415 - only on the nodes
        vectorized_udf,
    )
    from pyspark.util import PythonEvalType  # noqa: PLC0415 - only on the nodes

    udf = vectorized_udf(function, schema, PythonEvalType.SQL_MAP_ARROW_ITER_UDF)
    column = udf(*[rows[name] for name in rows.columns])
    return DataFrame(rows._jdf.mapInArrow(column._jc, False, None), rows.sparkSession)  # noqa: FBT003, SLF001 - as pyspark does


class Job:
    """The streaming query and its state, as health and metrics see it."""

    def __init__(self, settings: JobSettings, metrics: Metrics) -> None:
        """Prepare; start() begins to read."""
        self._settings = settings
        self._metrics = metrics
        self._database = settings.postgres.connect_arguments("sensors-job")
        self._plans = Plans()
        self._stages = sql_path.stages(settings.limits, settings.types)
        topics = settings.topics
        self._target = Target(self._database, topics.measurements, topics.anomalies, topics.rejected)
        self._busy = threading.Lock()
        self._batch_started: float | None = None
        self._query: Any = None
        self._reported = -1

    def start(self, spark: Any) -> None:  # noqa: ANN401 - pyspark
        """Start the query at the ledger's offsets; OffsetError when the topic no longer has them."""
        settings = self._settings
        topic = settings.topics.measurements
        available = kafka_source.available_offsets(spark.sparkContext._jvm, settings.kafka, topic)  # noqa: SLF001 - pyspark's only way to the JVM
        offsets = starting_offsets(self._database, topic, available)
        minutes = backfill_aggregates(self._database)
        if minutes:
            log.info("added up earlier readings", extra=fields(minutes=minutes))
        log.info("starting at the ledger's offsets", extra=fields(topic=topic, offsets=offsets))
        # Beside the lake's query, this one's tasks come first (pools.xml).
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", "database")
        reader = spark.readStream.format("kafka").options(**kafka_source.source_options(settings, offsets))
        checkpoint = fresh_checkpoint(Path(settings.run_directory))
        self._query = (
            reader.load()
            .writeStream.queryName("sensors")
            .foreachBatch(self._batch)
            .trigger(processingTime=f"{settings.trigger_ms} milliseconds")
            .option("checkpointLocation", checkpoint.as_uri())
            .start()
        )

    def _batch(self, messages: Any, batch_id: int) -> None:  # noqa: ANN401 - pyspark
        """Write one micro-batch; an exception fails the query, and the next start resumes from the ledger."""
        with self._busy:
            started = self._batch_started = time.monotonic()
            rules = read_rules(self._database)
            stats = self._plans.run(lambda plan: self._run(messages, rules, plan))
            seconds = time.monotonic() - started
            totals = self._metrics.batch(stats, seconds, rules.version)
            self._metrics.plan(self._plans.last)
            self._batch_started = None
        slowest = max((row["seconds"] for row in stats), default=0.0)
        log.info(
            "batch written",
            extra=fields(
                batch=batch_id,
                plan=self._plans.last,
                seconds=round(seconds, 3),
                slowest_task=round(slowest, 3),
                rules_version=rules.version,
                **totals,
            ),
        )

    def _run(self, messages: Any, rules: RuleSet, plan: Plan) -> Stats:  # noqa: ANN401 - pyspark
        hours, unusual = self._settings.business_hours, rules.unusual
        if plan == "short":
            rows = messages.selectExpr(*fast_path.INPUT)
            contract = fast_path.contract(self._settings.limits, self._settings.types, hours, rules)
            write = writer(self._target, unusual, contract)
        else:
            rows = messages
            for columns in self._stages:
                rows = rows.selectExpr(*columns)
            # Without a rule that goes by a profile the plan has nothing of them.
            line = anomaly_line(rules)
            rows = rows.selectExpr(
                *sql_path.sink_columns(hours, rules.version, line, unusual=unusual is not None)
            )
            write = writer(self._target, unusual)
        return [row.asDict() for row in map_in_arrow(rows, write, STATS).collect()]

    def failure(self) -> str | None:
        """Return why the query no longer runs, or None while it does."""
        if self._query is None:
            return "the query has not started yet"
        if self._query.isActive:
            return None
        return str(self._query.exception() or "the query has ended")

    def stuck(self) -> str | None:
        """Return a reason if the batch under way takes longer than it may."""
        started = self._batch_started
        if started is None or time.monotonic() - started < self._settings.batch_timeout_seconds:
            return None
        return f"a batch has been under way for {time.monotonic() - started:.0f} s"

    def observe(self) -> None:
        """Take the lag from the query's newest progress report."""
        progress = self._query.lastProgress
        if progress is None or progress["batchId"] == self._reported:
            return
        self._reported = progress["batchId"]
        # As JSON, since pyspark makes texts of the offsets in the object itself.
        lag = kafka_source.lag(json.loads(progress.json))
        if lag is not None:
            self._metrics.lag(lag)

    def stop(self) -> None:
        """Let the batch under way end, then stop the query."""
        with self._busy:
            if self._query is not None:
                self._query.stop()
