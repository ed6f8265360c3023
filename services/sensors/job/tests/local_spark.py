"""A session of one slot on a real Spark with Iceberg. Where there is none, importing this skips the importer.

Needs pyspark with the platform's jars (docs/exactly-once.md says how).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is on the nodes")
pytest.importorskip("pyspark", reason="pyspark is on the nodes")
if not list(Path(os.environ.get("SPARK_HOME", "/nowhere"), "jars").glob("iceberg-spark-runtime-*.jar")):
    pytest.skip("SPARK_HOME names no Spark with Iceberg's jar", allow_module_level=True)

from pyspark.sql import SparkSession

from millrace_common.config import parse_config
from sensors_job.config import LakeSettings
from sensors_job.job import SESSION
from sensors_job.lake import command as lake_command
from sensors_job.lake import rules as lake

if TYPE_CHECKING:
    from collections.abc import Iterator

# pyspark leaves the sockets to the garbage collector that it collects rows through.
MARKS = pytest.mark.filterwarnings(
    "ignore:unclosed.*socket:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
LOCAL = {
    "spark.master": "local[1]",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    # Compiling what then sees a few rows would take most of the time.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
MESSAGE = "key BINARY, value BINARY, partition INT, offset BIGINT, timestamp TIMESTAMP"
"""The columns of Kafka's source that the job needs."""


@contextmanager
def session(warehouse: Path) -> Iterator[Any]:
    """Yield a session whose catalog lies in a directory."""
    settings = parse_config({"warehouse": warehouse.as_uri()}, LakeSettings)
    conf = {**SESSION, **lake.session_conf(settings), **lake_command.SESSION, **LOCAL}
    builder = SparkSession.builder.appName("test")
    for key, value in conf.items():
        builder = builder.config(key, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    try:
        yield made
    finally:
        made.stop()
