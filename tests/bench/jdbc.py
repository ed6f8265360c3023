"""Runs the application with Spark's JDBC writer (on_node_jdbc.py) beside the bench's job."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import probe
import stage
from node_process import NodeProcess
from visibility import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).with_name("on_node_jdbc.py").read_text(encoding="utf-8")
PYTHON = "/opt/millrace/sensors-job/venv/bin/python"


@contextmanager
def application(topic: str) -> Iterator[NodeProcess]:
    """Run the application with Spark's JDBC writer beside the job, with as many slots."""
    environment, user, group, groups = stage.job_environment()
    ports = probe.ENVIRONMENT.catalogue.services[stage.MAINTENANCE].ports
    settings = {
        "spark.app.name": "bench-jdbc",
        "spark.cores.max": "3",
        "spark.driver.port": str(ports["driver"].first),
        "spark.driver.blockManager.port": str(ports["blocks"].first),
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "false",
    }
    given = {"config": stage.CONFIG, "spark": settings, "topic": topic, "batchsize": 5000}
    command = ["sudo", "setpriv", "--reuid", user, "--regid", group, "--groups"]
    command += [",".join([group, *groups.split()]), "--reset-env", "env", "-C", "/"]
    command += [f"{key}={value}" for key, value in environment.items()]
    with NodeProcess(probe.APPS, [*command, PYTHON, "-c", SCRIPT], given) as process:
        if (answer := process.receive(180)) != "ready":
            message = f"the application with the JDBC writer said {answer!r}"
            raise MeasurementError(message)
        yield process
