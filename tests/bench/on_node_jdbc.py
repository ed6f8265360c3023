"""Runs on the apps node as the job's user: a Spark application that writes messages with Spark's JDBC writer.

Input: a line {"config" (the job's), "spark" (settings), "topic", "batchsize"}, then a line {"offsets":
{partition: [first, end]}} for each write; the end of the input ends it. Output: the line "ready", then for
each write the seconds it took.

It does less than the job: it parses, but does not validate, apply rules, count or aggregate, and it knows
nothing of what was written before.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from millrace_common.config import load_config
from sensors_job import job, kafka_source
from sensors_job.config import JobSettings

SCHEMA = "sensor_id STRING, type STRING, value DOUBLE, unit STRING, timestamp STRING"
PARSED = [
    f"from_json(CAST(value AS STRING), '{SCHEMA}') AS m",
    "partition",
    "offset",
    "timestamp AS appended_at",
]
COLUMNS = [
    "CAST(m.timestamp AS TIMESTAMP) AS event_time",
    "m.sensor_id AS sensor_id",
    "m.type AS type",
    "m.value AS value",
    "partition AS source_partition",
    "offset AS source_offset",
    "appended_at",
]
MORE = [
    "*",
    "CAST(weekday(event_time) + 1 AS SMALLINT) AS weekday",
    "CAST(hour(event_time) AS SMALLINT) AS hour",
    "weekday(event_time) < 5 AND hour(event_time) >= 8 AND hour(event_time) < 18 AS business_hours",
    "CAST(1 AS BIGINT) AS rules_version",
]


def write(spark: Any, given: dict[str, Any], settings: JobSettings, offsets: dict[str, list[int]]) -> float:  # noqa: ANN401 - pyspark
    """Write the messages between the offsets; return the seconds."""
    places = [
        {given["topic"]: {partition: both[side] for partition, both in offsets.items()}} for side in (0, 1)
    ]
    options = {f"kafka.{key}": value for key, value in kafka_source.client_options(settings.kafka).items()}
    options |= {
        "subscribe": given["topic"],
        "startingOffsets": json.dumps(places[0]),
        "endingOffsets": json.dumps(places[1]),
        "groupIdPrefix": settings.group_prefix,
    }
    target = settings.postgres
    properties = {
        "driver": "org.postgresql.Driver",
        "user": target.username,
        "password": target.connect_arguments("bench")["password"],
        "sslmode": target.sslmode,
        "sslrootcert": target.ca_file or "",
        "reWriteBatchedInserts": "true",
        "batchsize": str(given["batchsize"]),
    }
    url = f"jdbc:postgresql://{target.host}:{target.port}/{target.database}"
    began = time.monotonic()
    rows = spark.read.format("kafka").options(**options).load()
    for columns in (PARSED, COLUMNS, MORE):
        rows = rows.selectExpr(*columns)
    rows.write.mode("append").jdbc(url, "sensors.measurements", properties=properties)
    return time.monotonic() - began


def main() -> None:
    """Write what standard input asks for."""
    given = json.loads(sys.stdin.readline())
    settings = load_config(Path(given["config"]), JobSettings)
    builder = SparkSession.builder
    for key, value in {**job.SESSION, **given["spark"]}.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    try:
        sys.stdout.write(json.dumps("ready") + "\n")
        sys.stdout.flush()
        for line in sys.stdin:
            seconds = write(spark, given, settings, json.loads(line)["offsets"])
            sys.stdout.write(json.dumps(seconds) + "\n")
            sys.stdout.flush()
    finally:
        spark.stop()


main()
