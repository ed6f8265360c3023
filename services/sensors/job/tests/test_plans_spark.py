"""Of a valid message both plans make the same rows: the short one on Arrow, the full one on Spark."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import kafka_rows
import local_spark
import pytest
from sensors_oracle import stream

from sensors_job.config import DEFAULT_TYPES, BusinessHours, Limits
from sensors_job.judge import fast_path, rules, sql_path

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = local_spark.MARKS
# In Berlin the clocks went back at 01:00 UTC, a Sunday; business hours of Monday are in it too.
BEGIN = datetime(2026, 10, 25, tzinfo=UTC)
SENSORS = {"a-1": "voltage", "b.2": "temperature", "c_3": "pressure", "weather-jfk": "temperature"}
HOURS = BusinessHours(zone="Europe/Berlin")
RULES = rules.RuleSet(7, kafka_rows.RULES)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with local_spark.session(tmp_path_factory.mktemp("lake")) as made:
        yield made


def messages() -> list[bytes]:
    """Return valid messages, plain ones, around midnights, changes of hours and of summer time."""
    shares = stream.Shares(invalid=0, duplicate=0, conflicting=0, anomalous=0.3)
    texts = [item.value for item in stream.scenario(3, 120, SENSORS, BEGIN, shares=shares)]
    readings = [json.loads(text) for text in texts if text]
    for number, reading in enumerate(readings):
        moment = BEGIN + timedelta(minutes=17 * number, microseconds=number)
        reading["timestamp"] = f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
    values = (-0.0, 1e-300, -1e15, 1e16, 123456789012345678, 0.1 + 0.2)
    odd = [
        readings[0] | {"value": value, "timestamp": f"2026-10-24T23:59:0{n}Z"}
        for n, value in enumerate(values)
    ]
    return [json.dumps(reading, ensure_ascii=False).encode() for reading in readings + odd]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what may be written in several ways as what it means."""
    stamp, sensor, kind, value, partition, offset, appended, *rest = row["measurement_line"][:-1].split("\t")
    number = float(value)
    row["measurement_line"] = (
        *(datetime.fromisoformat(stamp), sensor, kind, number, math.copysign(1, number), partition, offset),
        *(datetime.fromisoformat(appended).replace(tzinfo=UTC), *rest),
    )
    row["anomaly_line"] = sorted(numbers(line) for line in (row["anomaly_line"] or "").splitlines())
    row["facts"] = numbers(row["facts"])
    row["key"] = row["key"] and bytes(row["key"])
    row["value"] = bytes(row["value"])
    return row


def numbers(line: str) -> list[str]:
    """Return the fields of an anomaly's line, or of its beginning, the value in one way of writing it."""
    fields = line.split("\t")
    fields[3] = repr(float(fields[3]))
    return fields


def test_both_plans_make_the_same_rows_of_valid_messages(spark: Any) -> None:  # noqa: ANN401 - pyspark
    values = messages()
    appended = BEGIN + timedelta(days=3, milliseconds=5)
    kafka = kafka_rows.messages(*values, appended=appended, key=b"k")
    judging = dataclasses.replace(RULES, unusual=rules.Unusual(7, 1, ()))
    short = fast_path.judge(kafka, fast_path.contract(Limits(), DEFAULT_TYPES, HOURS, judging)).to_pylist()

    # Not kafka.to_pylist(): of a time it looks for pandas, and fails where pyspark has looked in vain before.
    found = [
        (b"k", value, kafka_rows.PARTITION, kafka_rows.FIRST + number, appended)
        for number, value in enumerate(values)
    ]
    rows = spark.createDataFrame(found, local_spark.MESSAGE)
    for columns in sql_path.stages(Limits(), DEFAULT_TYPES):
        rows = rows.selectExpr(*columns)
    last = sql_path.sink_columns(HOURS, RULES.version, rules.anomaly_line(RULES), unusual=True)
    full = [row.asDict() for row in rows.selectExpr(*last).orderBy("offset").collect()]

    assert [row["reason"] for row in full] == [None] * len(values)
    assert [plain(row) for row in short] == [plain(row) for row in full]
    assert sum(len(row["anomaly_line"]) for row in short) > 20
