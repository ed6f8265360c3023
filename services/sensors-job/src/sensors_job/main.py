"""The command `sensors-job --config FILE`: runs until SIGTERM (exit 0), or until the query fails (exit 1)."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from millrace_common.config import ConfigError, load_config
from millrace_common.http import HealthServer
from millrace_common.logs import fields, setup_logging
from millrace_common.stop import stop_on_signals
from sensors_job.config import JobSettings
from sensors_job.job import Job, build_session
from sensors_job.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


def run(settings: JobSettings) -> int:
    """Run the application; return its exit status."""
    stop = stop_on_signals()
    metrics = Metrics()
    job = Job(settings, metrics)
    server = HealthServer(settings.http, metrics.registry)
    server.add_check("query", job.failure)
    server.add_check("batch", job.stuck)
    with server:
        spark = build_session(settings)
        try:
            job.start(spark)
            while not stop.wait(1):
                reason = job.failure()
                if reason is not None:
                    log.error("the query failed", extra=fields(reason=reason))
                    return 1
                job.observe()
            log.info("stopping after the batch under way")
            job.stop()
        finally:
            spark.stop()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="sensors-job", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the settings, a JSON file")
    options = parser.parse_args(arguments)
    try:
        settings = load_config(options.config, JobSettings)
    except ConfigError as error:
        parser.exit(2, f"{error}\n")
    setup_logging(settings.log_level)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
