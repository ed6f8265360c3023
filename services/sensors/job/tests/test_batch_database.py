"""Profiles, the rules that go by them and compared aggregates, on a real database.

Needs what test_sink.py needs; without it this is skipped.
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is on the nodes")
if "SENSORS_JOB_TEST_DATABASE" not in os.environ:
    pytest.skip("SENSORS_JOB_TEST_DATABASE names no database", allow_module_level=True)

import psycopg2  # noqa: E402 - after the skips

from sensors_job.batch import profile, recompute, sums  # noqa: E402 - after the skips
from sensors_job.batch.history import Period  # noqa: E402 - after the skips
from sensors_job.batch.sums import Repeated  # noqa: E402 - after the skips
from sensors_job.store.driver_database import read_rules  # noqa: E402 - after the skips
from sensors_job.store.sink import Target, writer  # noqa: E402 - after the skips

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE: dict[str, Any] = json.loads(os.environ["SENSORS_JOB_TEST_DATABASE"])
TEN = datetime(2026, 11, 21, 10, tzinfo=UTC)
# Of its own hour, since what is compared is all that the database has of a period.
ELEVEN = TEN + timedelta(hours=1)
PERIOD = Period(ELEVEN, ELEVEN + timedelta(hours=1))


class Settings:
    """Stands in for MaintenanceSettings: this database, and a topic of the test's own."""

    def __init__(self, topic: str) -> None:
        """Name the topic."""
        self.topic = topic

    @property
    def postgres(self) -> Settings:
        """Return what has connect_arguments()."""
        return self

    def connect_arguments(self, name: str) -> dict[str, Any]:
        """Return libpq's parameters."""
        return DATABASE | {"application_name": name}


@contextmanager
def cursor() -> Iterator[Any]:
    """Yield a cursor of a transaction that is committed."""
    with closing(psycopg2.connect(**DATABASE)) as connection, connection, connection.cursor() as own:
        yield own


def query(statement: str, *arguments: object) -> list[Any]:
    """Return the rows of a statement."""
    with cursor() as own:
        own.execute(statement, arguments)
        return list(own.fetchall())


def execute(statement: str, *arguments: object) -> None:
    """Execute a statement."""
    with cursor() as own:
        own.execute(statement, arguments)


@pytest.fixture
def sensor() -> Iterator[str]:
    """Give a test a sensor of its own, known by a count; its topic and its rule are called as it is."""
    own = f"s{uuid.uuid4().hex}"
    execute("INSERT INTO sensors.counts (topic, partition, sensor_id) VALUES (%s, 0, %s)", own, own)
    execute("INSERT INTO sensors.ledger VALUES (%s, 0, 0)", own)
    yield own
    execute("DELETE FROM sensors.anomaly_rules WHERE rule_id = %s", own)
    for table in ("measurements", "anomalies", "sums_1m"):
        execute(f"DELETE FROM sensors.{table} WHERE sensor_id = %s", own)  # noqa: S608 - our own text


def learn(sensor: str, *, centre: float = 230.0) -> profile.Learned | None:
    """Write a profile of the sensor's hour 10, and of a sensor that nobody knows."""
    rows = [profile.Usual(name, "voltage", 10, 200, centre, 0.5) for name in (sensor, "nobody")]
    settings: Any = Settings(sensor)
    return profile.write(settings, rows, Period(TEN - timedelta(days=7), TEN), profile.Limits())


def enable(sensor: str) -> None:
    """Enable a rule that goes by the profile for the sensor."""
    execute(
        "INSERT INTO sensors.anomaly_rules (rule_id, type, sensor_id, comparison, threshold, severity) "
        "VALUES (%s, 'voltage', %s, 'unusual', 6, 'info')",
        sensor,
        sensor,
    )


def store(sensor: str, first: int, *values: float, at: datetime = TEN, extra: bool = True) -> None:
    """Let a task write readings a second apart, from offset `first` on, judged by the rules in force."""
    # By another name, as the driver's connection is none of a task's.
    version = read_rules(DATABASE | {"application_name": "driver"})
    stamps = [f"{at + timedelta(seconds=first + n):%Y-%m-%dT%H:%M:%SZ}" for n in range(len(values))]
    end = f"2026-11-21 10:01:00\t6\t10\tf\t{version.version}"
    lines = [
        f"{stamp}\t{sensor}\tvoltage\t{value}\t0\t{first + n}\t{end}\n"
        for n, (stamp, value) in enumerate(zip(stamps, values, strict=True))
    ]
    nothing, count = [None] * len(values), len(values)
    minute = int(at.timestamp())
    columns = {
        "partition": pa.array([0] * count, pa.int32()),
        "offset": pa.array(range(first, first + count), pa.int64()),
        "reason": pa.array(nothing, pa.string()),
        "sensor_id": pa.array([sensor] * count, pa.string()),
        "measurement_line": pa.array(lines, pa.string()),
        "anomaly_line": pa.array(nothing, pa.string()),
        "reject_line": pa.array(nothing, pa.string()),
        "key": pa.array(nothing, pa.binary()),
        "value": pa.array(nothing, pa.binary()),
        "appended_ms": pa.array([minute * 1000] * count, pa.int64()),
        "type": pa.array(["voltage"] * count, pa.string()),
        "minute": pa.array([minute] * count, pa.int64()),
    }
    if extra:
        facts = [f"{s}\t{sensor}\tvoltage\t{value}\tV" for s, value in zip(stamps, values, strict=True)]
        columns |= {
            "facts": pa.array(facts, pa.string()),
            "reading": pa.array(values, pa.float64()),
            "hour": pa.array([at.hour] * count, pa.int32()),
        }
    write = writer(Target(DATABASE, sensor, "anomalies", "rejected"), version.unusual)
    (stats,) = write(iter([pa.RecordBatch.from_pydict(columns)]))
    assert stats.to_pylist()[0]["stored"] == count


def flagged(sensor: str) -> list[Any]:
    """Return value, rule, threshold and the profile's version of each anomaly."""
    return query(
        "SELECT value, rule_id, threshold, profile_version FROM sensors.anomalies "
        "JOIN sensors.rule_versions ON version = rules_version WHERE sensor_id = %s ORDER BY source_offset",
        sensor,
    )


def newest() -> tuple[Any, ...]:
    """Return version and profile version of the rules in force."""
    return tuple(
        query("SELECT version, profile_version FROM sensors.rule_versions ORDER BY version DESC LIMIT 1")[0]
    )


def test_a_profile_is_written_for_known_sensors_and_no_profile_without_any(sensor: str) -> None:
    written = learn(sensor)
    assert written is not None
    assert written.unknown == {"nobody"}
    rows = query("SELECT * FROM sensors.profiles WHERE version = %s", written.version)
    assert rows == [(written.version, sensor, "voltage", 10, 200, 230.0, 0.5)]
    (learned,) = query("SELECT learned FROM sensors.profile_versions WHERE version = %s", written.version)
    assert learned[0] == {
        "from": "2026-11-14T10:00:00+00:00",
        "to": "2026-11-21T10:00:00+00:00",
        "minimum": 100,
        "floor": 0.1,
    }
    nothing: Any = Settings("a topic without sensors")
    assert profile.write(nothing, written.rows, PERIOD, profile.Limits()) is None


def test_a_profile_makes_a_version_of_the_rules_only_where_one_goes_by_it(sensor: str) -> None:
    before = newest()
    first = learn(sensor)
    assert first is not None
    assert newest() == before
    enable(sensor)
    version, by = newest()
    assert version > before[0]
    assert by == first.version
    second = learn(sensor)
    assert second is not None
    assert newest() == (version + 1, second.version)
    execute("UPDATE sensors.anomaly_rules SET enabled = false WHERE rule_id = %s", sensor)
    assert newest()[1] is None


@pytest.mark.parametrize("threshold", [0, -1])
def test_a_rule_of_no_spreads_is_refused(threshold: int) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        execute(
            "INSERT INTO sensors.anomaly_rules (rule_id, type, comparison, threshold, severity) "
            "VALUES ('none', 'voltage', 'unusual', %s, 'info')",
            threshold,
        )


def test_the_task_flags_what_is_unusual_by_the_profile_of_its_version(sensor: str) -> None:
    first = learn(sensor)
    assert first is not None
    store(sensor, 0, 240.0, extra=False)
    enable(sensor)
    store(sensor, 1, 230.0, 233.5, 227.0, 226.5)
    second = learn(sensor, centre=240.0)
    assert second is not None
    store(sensor, 5, 233.5, 240.0)
    assert flagged(sensor) == [
        (233.5, sensor, 233.0, first.version),
        (226.5, sensor, 227.0, first.version),
        (233.5, sensor, 237.0, second.version),
    ]
    ((anomalies,),) = query("SELECT anomalies FROM sensors.aggregates_1m WHERE sensor_id = %s", sensor)
    assert anomalies == 3
    assert query("SELECT count(*) FROM sensors.outbox WHERE value LIKE %s", f"%{sensor}%") == [(3,)]


def contrast(sensor: str, values: list[Repeated], passed: int = 100) -> recompute.Report:
    """Compare an hour of the database with what the lake is said to have, up to an offset."""
    with closing(psycopg2.connect(**DATABASE, options="-c timezone=UTC")) as connection:
        kept = recompute.Kept(connection, sensor, PERIOD)
        return recompute.contrast(values, kept, kept.moving({0: passed}))


def test_the_lake_is_compared_with_the_database(sensor: str) -> None:
    enable(sensor)
    store(sensor, 0, 1.25, 1.25, 230.0, at=ELEVEN)
    minute = int(ELEVEN.timestamp())
    values = [Repeated(sensor, "voltage", minute, 1.25, 2), Repeated(sensor, "voltage", minute, 230.0, 1)]
    report = contrast(sensor, values)
    assert (report.compared, report.different) == (True, False), list(report.lines())
    assert {period: dict(tally) for period, tally in report.tallies.items()} == {
        period: {"equal": 1} for period in ("1m", "10m", "1h")
    }

    for wrong in ([values[0]], [], [*values, values[1]._replace(bucket=minute + 60)]):
        assert contrast(sensor, wrong).different

    unknown = values[0]._replace(sensor_id="zz-nobody")
    report = contrast(sensor, [*values, unknown])
    assert not report.different
    assert report.unknown == {("zz-nobody", "voltage"): 2}

    # The lake has not come to the third reading yet.
    report = contrast(sensor, [values[0]], passed=2)
    assert not report.compared
    assert {name: dict(tally) for name, tally in report.tallies.items()} == {
        period: {"moving": 1} for period in ("1m", "10m", "1h")
    }


def test_digits_count_as_far_as_postgresql_reads_them(sensor: str) -> None:
    # The deviation of such values is all in their last digits; the third has more than 15.
    near = (1.00000000000001, 1.00000000000003, 1.0000000000000004)
    store(sensor, 0, *near, at=ELEVEN, extra=False)
    values = [Repeated(sensor, "voltage", int(ELEVEN.timestamp()), value, 1) for value in near]
    report = contrast(sensor, values)
    assert (report.compared, report.different) == (True, False), list(report.lines())


def test_aggregates_that_are_wrong_in_the_database_are_found(sensor: str) -> None:
    store(sensor, 0, 1.25, 230.0, at=ELEVEN, extra=False)
    minute = int(ELEVEN.timestamp())
    values = [Repeated(sensor, "voltage", minute, value, 1) for value in (1.25, 230.0)]
    assert not contrast(sensor, values).different
    changes = ("squares = squares + 1e-6", "anomalies = 1", "total = total + 1e-8", "minimum = 1")
    with closing(psycopg2.connect(**DATABASE)) as connection:
        for change in changes:
            with connection.cursor() as own:
                own.execute(f"UPDATE sensors.sums_1m SET {change} WHERE sensor_id = %s", (sensor,))  # noqa: S608 - ours
            report = recompute.contrast(values, recompute.Kept(connection, sensor, PERIOD), {})
            connection.rollback()
            assert {tally["different"] for tally in report.tallies.values()} == {1}, change
            assert len(report.differences) == 3


def test_what_the_lifecycle_dropped_is_no_difference(sensor: str) -> None:
    store(sensor, 0, 1.25, 230.0, at=ELEVEN, extra=False)
    minute = int(ELEVEN.timestamp())
    values = [Repeated(sensor, "voltage", minute, value, 1) for value in (1.25, 230.0)]
    day = {"begin": ELEVEN.replace(hour=0), "end": ELEVEN.replace(hour=0) + timedelta(days=1)}
    drop = "INSERT INTO sensors.dropped (kind, range_start, range_end) VALUES (%(kind)s, %(begin)s, %(end)s)"
    with closing(psycopg2.connect(**DATABASE)) as connection, connection.cursor() as own:

        def outcomes() -> list[dict[sums.Outcome, int]]:
            report = recompute.contrast(values, recompute.Kept(connection, sensor, PERIOD), {})
            return [dict(report.tallies[period]) for period in ("1m", "10m", "1h")]

        # The rows of minutes are gone, and what they came to is kept for longer periods.
        own.execute(
            "INSERT INTO sensors.sums_10m SELECT * FROM sensors.sums_1m WHERE sensor_id = %s", (sensor,)
        )
        own.execute(
            "INSERT INTO sensors.sums_1h SELECT * FROM sensors.sums_1m WHERE sensor_id = %s", (sensor,)
        )
        own.execute("DELETE FROM sensors.sums_1m WHERE sensor_id = %s", (sensor,))
        assert outcomes() == [{"different": 1}, {"equal": 1}, {"equal": 1}]
        own.execute(drop, {"kind": "sums_1m", **day})
        assert outcomes() == [{"dropped": 1}, {"equal": 1}, {"equal": 1}]

        # Anomalies that were counted in time, and have no rows any more.
        own.execute("UPDATE sensors.sums_1h SET anomalies = 1 WHERE sensor_id = %s", (sensor,))
        assert outcomes()[2] == {"different": 1}
        own.execute(drop, {"kind": "anomalies", **day})
        assert outcomes()[2] == {"equal": 1}
        connection.rollback()
