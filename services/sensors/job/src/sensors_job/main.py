"""The command `sensors-job --config FILE`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from millrace_common.http import HealthServer
from millrace_common.logs import fields
from millrace_common.service import run_service
from sensors_job.config import JobSettings
from sensors_job.job import Job, build_session
from sensors_job.lake.metrics import LakeMetrics
from sensors_job.lake.query import LakeQuery
from sensors_job.metrics import Metrics

if TYPE_CHECKING:
    import threading

log = logging.getLogger(__name__)


def run(settings: JobSettings, stop: threading.Event) -> int:
    """Run the application; return its exit status: 1 when the query fails."""
    metrics = Metrics()
    job = Job(settings, metrics)
    server = HealthServer(settings.http, metrics.registry)
    server.add_check("query", job.failure)
    server.add_check("batch", job.stuck)
    lake = LakeQuery(settings, settings.lake, LakeMetrics(metrics.registry)) if settings.lake else None
    if lake is not None:
        server.add_detail("lake", lake.detail)
    with server:
        spark = build_session(settings)
        try:
            job.start(spark)
            if lake is not None:
                lake.start(spark)
            while not stop.wait(1):
                reason = job.failure()
                if reason is not None:
                    log.error("the query failed", extra=fields(reason=reason))
                    return 1
                job.observe()
            log.info("stopping after the batch under way")
            job.stop()
            if lake is not None:
                lake.stop()
        finally:
            spark.stop()
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM, then 0; 1 when the query or anything else fails, 2 for wrong settings."""
    return run_service("sensors-job", "Store readings, anomalies and rejects.", JobSettings, run, arguments)
