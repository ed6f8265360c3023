"""What sensors-batch asks the lake, on a real Spark with a real Iceberg, against plain oracles."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import local_spark
import pytest
from sensors_oracle.aggregates import PERIODS as ORACLE_PERIODS
from sensors_oracle.aggregates import aggregate
from sensors_oracle.baselines import learn
from sensors_oracle.reference import Reading

from millrace_common.config import parse_config
from sensors_job.batch import profile, recompute, sums
from sensors_job.batch.history import Period
from sensors_job.batch.sums import Aggregate
from sensors_job.config import DEFAULT_TYPES, BusinessHours, LakeSettings, Limits
from sensors_job.judge import rules, sql_path
from sensors_job.lake import rules as lake
from sensors_job.lake.table import LakeTable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = local_spark.MARKS
TOPIC = "sensors.measurements"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PERIOD = Period(NOON, NOON + timedelta(hours=3))
SENSORS = {"a-1": "temperature", "b": "voltage"}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with local_spark.session(tmp_path_factory.mktemp("lake")) as made:
        yield made


def stored() -> list[Reading]:
    """Return readings around and in the period, some minutes dense, some empty, some values odd."""
    rng = random.Random(20261121)  # noqa: S311 - a signal, not a secret
    found: dict[object, Reading] = {}
    for _ in range(900):
        sensor = rng.choice(list(SENSORS))
        second = rng.choice((rng.randrange(-600, 3 * 3600 + 600), rng.randrange(0, 300), 3599, 3600))
        value = rng.choice((round(rng.gauss(20, 1), 2), rng.gauss(0, 1e-6), 1e9 * rng.random(), 20.0))
        reading = Reading(sensor, SENSORS[sensor], value, NOON + timedelta(seconds=second, microseconds=1))
        found.setdefault(reading.identity, reading)
    return list(found.values())


@pytest.fixture(scope="module")
def table(spark: Any) -> str:  # noqa: ANN401 - pyspark
    """Return a table with each reading, some repeated or contradicted, and others at offsets above."""
    settings = parse_config(
        {"warehouse": spark.conf.get("spark.sql.catalog.lake.warehouse"), "table": "batch.readings"},
        LakeSettings,
    )
    written = LakeTable(spark, settings, TOPIC)
    written.make()
    rows = []
    for number, reading in enumerate(stored()):
        row = (reading.event_time, reading.sensor_id, reading.type)
        rows.append((*row, reading.value, 0, 3 * number, NOON))
        if number % 5 == 0:
            rows.append((*row, reading.value + number % 2, 0, 3 * number + 1, NOON))
    late = NOON + timedelta(minutes=7)
    rows += [(late, "a-1", "temperature", 21.0, 0, 5000, NOON), (late, "b", "voltage", 230.0, 1, 3, NOON)]
    schema = lake.SCHEMA.replace(" NOT NULL", "")
    written.append(spark.createDataFrame(rows, schema), lake.Step({0: 0, 1: 0}, {0: 5001, 1: 4}, None))
    return settings.name


def test_aggregates_from_the_lake_are_those_of_the_oracle(spark: Any, table: str) -> None:  # noqa: ANN401 - pyspark
    wanted = [reading for reading in stored() if PERIOD.begin <= reading.event_time < PERIOD.end]
    assert 0 < len(wanted) < len(stored())
    values = recompute.lake_values(spark, table, {0: 5000, 1: 3}, PERIOD)
    added = dict(sums.add_up(values))
    for period, seconds in sums.PERIODS.items():
        found = {
            (*series, datetime.fromtimestamp(bucket, UTC)): row
            for series, minutes in added.items()
            for bucket, row in sums.roll_up(minutes, {}, seconds).items()
        }
        expected = aggregate(((reading, 0) for reading in wanted), ORACLE_PERIODS[period])
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            # The oracle goes by all digits of a value, the database by 15: that much may differ.
            assert found[key][:3] == Aggregate(**vars(row))[:3], key
            assert found[key].mean == pytest.approx(row.mean, rel=1e-9, abs=1e-12), key
            deviations = (found[key].deviation or 0.0), (row.deviation or 0.0)
            assert deviations[0] == pytest.approx(deviations[1], rel=1e-6, abs=1e-12), key
            assert (found[key].deviation is None) == (row.readings == 1), key


def test_a_profile_is_that_of_the_oracle(spark: Any, table: str) -> None:  # noqa: ANN401 - pyspark
    limits = profile.Limits(minimum=100, floor=3.0)
    extra = [
        Reading("a-1", "temperature", 21.0, NOON + timedelta(minutes=7)),
        Reading("b", "voltage", 230.0, NOON + timedelta(minutes=7)),
    ]
    wanted = [r for r in [*stored(), *extra] if PERIOD.begin <= r.event_time < PERIOD.end]
    found = profile.learn(spark, table, PERIOD, limits)
    expected = learn(wanted, limits.minimum, limits.floor)
    assert {row[:3]: (row.centre, row.spread) for row in found} == expected
    everything = learn(wanted, 1, limits.floor)
    assert 0 < len(expected) < len(everything), "an hour must be too thin, or this shows nothing"
    assert {spread for _, spread in expected.values()} > {limits.floor}, "it must count in some hours alone"


def test_the_columns_that_unusual_rules_judge_by_are_the_readings_own(spark: Any) -> None:  # noqa: ANN401 - pyspark
    message = (
        '{"sensor_id": "b", "type": "voltage", "value": 230.25, "unit": "V",'
        ' "timestamp": "2026-11-21T19:59:59.999Z"}'
    )
    appended = datetime(2026, 11, 21, 20, tzinfo=UTC)
    rows = spark.createDataFrame(
        [(b"b", message.encode(), 0, 7, appended), (b"b", b"no reading", 0, 8, appended)],
        local_spark.MESSAGE,
    )
    for columns in sql_path.stages(Limits(), DEFAULT_TYPES):
        rows = rows.selectExpr(*columns)
    # The business hours' zone is no part of it.
    hours = BusinessHours(zone="Asia/Tokyo")
    line = rules.anomaly_line(rules.RuleSet(1, ()))
    good, bad = rows.selectExpr(*sql_path.sink_columns(hours, 1, line, unusual=True)).collect()
    assert (good.reading, good.hour, good.offset) == (230.25, 19, 7)
    assert good.facts == "2026-11-21T19:59:59.999Z\tb\tvoltage\t230.25\tV"
    assert (bad.reading, bad.hour, bad.facts) == (None, None, None)
