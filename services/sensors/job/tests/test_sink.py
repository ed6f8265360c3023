"""The transaction of one partition, on a real database.

Needs pyarrow and, in SENSORS_JOB_TEST_DATABASE, libpq's parameters as JSON: a throw-away database with the
migrations applied, as a role with the rights of sensors_owner (docs/exactly-once.md says how).
"""

from __future__ import annotations

import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is on the nodes")
if "SENSORS_JOB_TEST_DATABASE" not in os.environ:
    pytest.skip("SENSORS_JOB_TEST_DATABASE names no database", allow_module_level=True)

import psycopg2  # noqa: E402 - after the skips

from sensors_job.config import DEFAULT_TYPES, BusinessHours, Limits  # noqa: E402 - after the skips
from sensors_job.judge import fast_path  # noqa: E402 - after the skips
from sensors_job.judge.rules import Rule, RuleSet  # noqa: E402 - after the skips
from sensors_job.store import statements  # noqa: E402 - after the skips
from sensors_job.store.database import STAGES  # noqa: E402 - after the skips
from sensors_job.store.driver_database import backfill_aggregates  # noqa: E402 - after the skips
from sensors_job.store.sink import LedgerError, PartitionTask, Target, writer  # noqa: E402 - after the skips

DATABASE = json.loads(os.environ["SENSORS_JOB_TEST_DATABASE"])
COLUMNS = {
    "partition": pa.int32(),
    "offset": pa.int64(),
    "reason": pa.string(),
    "sensor_id": pa.string(),
    "measurement_line": pa.string(),
    "anomaly_line": pa.string(),
    "reject_line": pa.string(),
    "key": pa.binary(),
    "value": pa.binary(),
    "appended_ms": pa.int64(),
    "type": pa.string(),
    "minute": pa.int64(),
}
TEN = 1_795_255_200
"""2026-11-21T10:00:00Z, in seconds since 1970."""


HIGH = Rule("high", "voltage", "above", 240.0, "info")
CONTRACT = fast_path.contract(Limits(), DEFAULT_TYPES, BusinessHours(), RuleSet(3, (HIGH,)))


class Partition:
    """Partition 0 of a topic that exists only in the ledger, with a sensor of its own."""

    def __init__(self) -> None:
        """Make the ledger's row."""
        self.topic = f"test-{uuid.uuid4().hex}"
        self.sensor = f"s{uuid.uuid4().hex}"
        self.target = Target(DATABASE, self.topic, "anomalies", "rejected")
        self.write = writer(self.target)
        self.query("INSERT INTO sensors.ledger VALUES (%s, 0, 0) RETURNING 1", self.topic)

    def query(self, statement: str, *arguments: object) -> list[Any]:
        """Return the rows of one statement, run in a transaction of its own."""
        with psycopg2.connect(**DATABASE) as connection, connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            return list(cursor.fetchall())

    def reading(self, offset: int, second: int, value: float, *, flagged: bool = False) -> dict[str, Any]:
        """Return the row of a valid reading `second` seconds after ten o'clock."""
        stamp = f"2026-11-21T10:{second // 60:02}:{second % 60:02}Z"
        line = f"{stamp}\t{self.sensor}\tvoltage\t{value}\t0\t{offset}\t2026-11-21 10:01:00\t6\t10\tf\t1\n"
        anomaly = f"{stamp}\t{self.sensor}\tvoltage\t{value}\tV\thigh\tinfo\t1.0\t1\t{offset}\n"
        return {
            "offset": offset,
            "sensor_id": self.sensor,
            "type": "voltage",
            "minute": TEN + second // 60 * 60,
            "measurement_line": line,
            "anomaly_line": anomaly if flagged else None,
            "key": b"k",
            "value": f"original {value}".encode(),
        }

    def reject(self, offset: int) -> dict[str, Any]:
        """Return the row of a rejected message."""
        line = f"empty\t{self.sensor}\t{offset}\t2026-11-21 10:01:00\t\\N\t\\\\x00ff\n"
        return {"offset": offset, "reason": "empty", "sensor_id": self.sensor, "reject_line": line}

    def batch(self, *rows: dict[str, Any]) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Return the record batch of `rows`."""
        full = [{"partition": 0, "appended_ms": (TEN + 3600) * 1000} | row for row in rows]
        return pa.RecordBatch.from_pydict(
            {name: pa.array([row.get(name) for row in full], kind) for name, kind in COLUMNS.items()}
        )

    def message(self, second: int, value: float) -> bytes:
        """Return the message of a valid reading `second` seconds after ten o'clock."""
        stamp = f"2026-11-21T10:00:{second:02}.25Z"
        reading = {
            "sensor_id": self.sensor,
            "type": "voltage",
            "value": value,
            "unit": "V",
            "timestamp": stamp,
        }
        return json.dumps(reading).encode()

    def messages(self, first: int, *values: bytes) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Return the record batch of messages as they are in Kafka, from offset `first` on."""
        appended = datetime.fromtimestamp(TEN + 3600.125, UTC)
        columns = {
            "key": pa.array([b"k"] * len(values), pa.binary()),
            "value": pa.array(values, pa.binary()),
            "partition": pa.array([0] * len(values), pa.int32()),
            "offset": pa.array(range(first, first + len(values)), pa.int64()),
            "timestamp": pa.array([appended] * len(values), pa.timestamp("us", "UTC")),
        }
        return pa.RecordBatch.from_pydict(columns)

    def judge(self, *batches: Any) -> dict[str, Any]:  # noqa: ANN401 - pyarrow has no types
        """Judge and write record batches of messages as one task does; return its statistics."""
        return self.run(*batches, write=writer(self.target, None, CONTRACT))

    def run(self, *batches: Any, write: Any = None) -> dict[str, Any]:  # noqa: ANN401 - pyarrow has no types
        """Write record batches as one task does; return its statistics."""
        (stats,) = (write or self.write)(iter(batches))
        row: dict[str, Any] = stats.to_pylist()[0]
        return row

    def state(self) -> tuple[int, tuple[int, int, int], int]:
        """Return the next offset, the counts and the number of rows."""
        (ledger,) = self.query("SELECT next_offset FROM sensors.ledger WHERE topic = %s", self.topic)
        counts = self.query(
            "SELECT stored, duplicates, rejected FROM sensors.counts WHERE topic = %s", self.topic
        )
        (rows,) = self.query("SELECT count(*) FROM sensors.measurements WHERE sensor_id = %s", self.sensor)
        return ledger[0], counts[0] if counts else (0, 0, 0), rows[0]

    def aggregates(self, period: str = "1m") -> list[tuple[Any, ...]]:
        """Return rows of seconds after ten, readings, minimum, maximum, mean, deviation, anomalies."""
        return self.query(
            f"SELECT (extract(epoch FROM bucket) - {TEN})::int, readings, minimum, maximum, mean, deviation, "  # noqa: S608 - our own text
            f"anomalies FROM sensors.aggregates_{period} WHERE sensor_id = %s ORDER BY bucket",
            self.sensor,
        )

    def mismatches(self) -> list[tuple[Any, ...]]:
        """Return the sensor's minutes that are not what the raw rows add up to."""
        return self.query("SELECT * FROM sensors.wrong_1m WHERE sensor_id = %s", self.sensor)


@pytest.fixture
def partition() -> Partition:
    return Partition()


def test_a_batch_takes_effect_once_however_often_it_is_written(partition: Partition) -> None:
    batch = partition.batch(
        partition.reading(0, 0, 1.5, flagged=True), partition.reject(1), partition.reading(2, 1, 2.5)
    )
    assert partition.run(batch)["stored"] == 2
    for _ in range(2):
        assert partition.run(batch)["stored"] == 0
    assert partition.state() == (3, (2, 0, 1), 2)
    assert partition.query(
        "SELECT count(*) FROM sensors.outbox WHERE value LIKE %s", f"%{partition.topic}%"
    ) == [(2,)]


def test_messages_are_judged_on_the_way_and_stored_with_all_that_is_theirs(
    partition: Partition,
) -> None:
    good, high, conflict = (
        partition.message(0, 230.5),
        partition.message(1, 241),
        partition.message(0, 230.25),
    )
    assert partition.judge(partition.messages(0, good, high))["stored"] == 2
    stats = partition.judge(
        partition.messages(2, good, conflict), partition.messages(4, partition.message(2, 1e-7))
    )
    assert [stats[name] for name in ("stored", "duplicates", "rejected", "merges")] == [1, 1, 1, 1]
    rows = partition.query(
        "SELECT extract(epoch FROM event_time), value, source_offset, extract(epoch FROM appended_at), "
        "weekday, hour, business_hours, rules_version FROM sensors.measurements "
        "WHERE sensor_id = %s ORDER BY 1",
        partition.sensor,
    )
    assert rows == [
        (Decimal(TEN + second) + Decimal("0.25"), value, offset, TEN + Decimal("3600.125"), 6, 10, False, 3)
        for second, value, offset in ((0, 230.5, 0), (1, 241.0, 1), (2, 1e-7, 4))
    ]
    anomalies = partition.query(
        "SELECT source_offset, rule_id, severity, threshold, value FROM sensors.anomalies "
        "WHERE sensor_id = %s",
        partition.sensor,
    )
    assert anomalies == [(1, "high", "info", 240.0, 241.0)]
    rejects = "SELECT source_offset, reason, key, value FROM sensors.rejects WHERE source_topic = %s"
    (reject,) = partition.query(rejects, partition.topic)
    assert (*reject[:2], *map(bytes, reject[2:])) == (3, "conflicting_value", b"k", conflict)
    assert partition.mismatches() == []


def test_an_undecided_message_leaves_its_partition_alone(partition: Partition) -> None:
    known, unknown = partition.message(0, 1.0), b"{}"
    for batches in ([(0, known, unknown)], [(0, known), (1, unknown)]):
        assert partition.judge(*(partition.messages(*batch) for batch in batches))["undecided"] is True
        assert partition.state() == (0, (0, 0, 0), 0)
    assert partition.judge(partition.messages(0, known))["undecided"] is False
    assert partition.state() == (1, (1, 0, 0), 1)


def test_of_an_overlapping_batch_only_the_new_part_takes_effect(partition: Partition) -> None:
    rows = [partition.reading(offset, offset, 1.0) for offset in range(6)]
    partition.run(partition.batch(*rows[:3]))
    stats = partition.run(partition.batch(*rows[1:5]), partition.batch(*rows[5:]))
    assert (stats["first_offset"], stats["next_offset"], stats["merges"]) == (3, 6, 0)
    assert partition.state() == (6, (6, 0, 0), 6)


def test_duplicates_and_conflicts_within_a_batch_and_with_earlier_ones(partition: Partition) -> None:
    partition.run(partition.batch(partition.reading(0, 0, 1.0)))
    stats = partition.run(
        partition.batch(
            partition.reading(1, 0, 9.0, flagged=True),  # another value than stored
            partition.reading(2, 1, 2.0, flagged=True),
            partition.reading(3, 1, 2.0, flagged=True),  # repeats one of this batch
        ),
        partition.batch(partition.reading(4, 1, 3.0), partition.reading(5, 2, 4.0), partition.reject(6)),
    )
    assert (stats["merges"], json.loads(stats["reasons"])) == (2, {"conflicting_value": 2, "empty": 1})
    assert partition.state() == (7, (3, 1, 3), 3)
    rejects = partition.query(
        "SELECT source_offset, reason, value FROM sensors.rejects WHERE source_topic = %s ORDER BY 1",
        partition.topic,
    )
    assert [(offset, reason, bytes(value)) for offset, reason, value in rejects] == [
        (1, "conflicting_value", b"original 9.0"),
        (4, "conflicting_value", b"original 3.0"),
        (6, "empty", b"\x00\xff"),
    ]
    anomalies = partition.query(
        "SELECT source_offset FROM sensors.anomalies WHERE sensor_id = %s", partition.sensor
    )
    assert anomalies == [(2,)], "only of readings that were stored"


@pytest.mark.parametrize("offsets", [(1, 2), (0, 2)])
def test_a_gap_fails_and_leaves_nothing(partition: Partition, offsets: tuple[int, ...]) -> None:
    with pytest.raises(LedgerError):
        partition.run(partition.batch(*[partition.reading(offset, offset, 1.0) for offset in offsets]))
    assert partition.state() == (0, (0, 0, 0), 0)


def test_rows_of_two_partitions_fail(partition: Partition) -> None:
    with pytest.raises(LedgerError, match="minPartitions"):
        partition.run(
            partition.batch(partition.reading(0, 0, 1.0), partition.reading(1, 1, 1.0) | {"partition": 1})
        )


def test_a_failure_after_the_copy_undoes_all_and_the_next_attempt_succeeds(partition: Partition) -> None:
    good = partition.batch(partition.reading(0, 0, 1.0))
    broken = partition.batch(partition.reject(1) | {"reject_line": "empty\tx\tno number\n"})
    with pytest.raises(psycopg2.Error):
        partition.run(good, broken)
    assert partition.state() == (0, (0, 0, 0), 0)
    assert partition.run(good, partition.batch(partition.reject(1)))["next_offset"] == 2


def test_a_minute_is_recomputed_with_the_readings_of_earlier_batches(partition: Partition) -> None:
    partition.run(partition.batch(partition.reading(0, 0, 220.1), partition.reading(1, 60, 230.0)))
    assert partition.mismatches() == []
    partition.run(
        partition.batch(partition.reading(2, 5, 220.3, flagged=True), partition.reading(3, 5, 220.3))
    )
    first, second = partition.aggregates()
    assert first == (0, 2, 220.1, 220.3, 220.2, pytest.approx(0.02**0.5), 1)
    assert second == (60, 1, 230.0, 230.0, 230.0, None, 0)
    (hour,) = partition.aggregates("1h")
    assert hour[:5] == (0, 3, 220.1, 230.0, pytest.approx(670.4 / 3))
    assert partition.mismatches() == []


def test_sums_are_exact_whatever_the_order(partition: Partition) -> None:
    rows = [partition.reading(second, second, 0.1 + second / 100) for second in range(60)]
    partition.run(partition.batch(*rows))
    (sums,) = partition.query(
        "SELECT total::text, squares::text FROM sensors.sums_1m WHERE sensor_id = %s", partition.sensor
    )
    assert [Decimal(text) for text in sums] == [Decimal("23.7"), Decimal("11.161")]


def test_a_batch_that_fails_leaves_the_aggregates_alone(partition: Partition) -> None:
    partition.run(partition.batch(partition.reading(0, 0, 1.0)))
    broken = partition.batch(partition.reject(2) | {"reject_line": "empty\tx\tno number\n"})
    with pytest.raises(psycopg2.Error):
        partition.run(partition.batch(partition.reading(1, 1, 2.0)), broken)
    assert [row[1] for row in partition.aggregates()] == [1]


def test_two_tasks_with_readings_of_one_minute_add_up(partition: Partition) -> None:
    """A sensor sent through two partitions breaks the contract; its aggregates are right all the same."""
    partition.run(partition.batch(partition.reading(0, 0, 1.0)))
    other = Partition()
    other.sensor = partition.sensor
    minute = {"sensors": [partition.sensor], "types": ["voltage"], "seconds": [TEN]}
    with psycopg2.connect(**DATABASE) as connection, ThreadPoolExecutor(max_workers=1) as pool:
        with connection.cursor() as cursor:
            first = started(cursor, partition, partition.reading(1, 1, 2.0))
            cursor.execute(statements.TOUCH, minute)  # as finish() is about to do
            second = pool.submit(one_task, other, other.reading(0, 2, 3.0))
            waits = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
            while not partition.query(waits, other.topic):
                assert not second.done(), "it went on without the first one's reading"
            first.finish(cursor)
        connection.commit()
        second.result()
    assert [row[1] for row in partition.aggregates()] == [3]
    assert partition.mismatches() == []


def one_task(side: Partition, row: dict[str, Any]) -> None:
    """Write one row in a transaction of its own connection, which is named by the topic."""
    with (
        psycopg2.connect(**DATABASE, application_name=side.topic) as connection,
        connection.cursor() as cursor,
    ):
        started(cursor, side, row).finish(cursor)


def started(cursor: Any, side: Partition, row: dict[str, Any]) -> PartitionTask:  # noqa: ANN401 - no types
    """Return a task that has written one row."""
    cursor.execute(STAGES)
    task = PartitionTask(Target(DATABASE, side.topic, "anomalies", "rejected"), 0)
    task.begin(cursor)
    task.write(cursor, side.batch(row))
    return task


def test_the_backfill_adds_up_what_no_job_has(partition: Partition) -> None:
    partition.run(partition.batch(partition.reading(0, 0, 1.5, flagged=True), partition.reading(1, 90, 2.5)))
    expected = partition.aggregates()
    with psycopg2.connect(**DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM sensors.sums_1m WHERE sensor_id = %s", (partition.sensor,))
        cursor.execute("DELETE FROM sensors.backfills")
    assert partition.aggregates() == []
    assert backfill_aggregates(DATABASE) >= 2
    assert partition.aggregates() == expected
    assert backfill_aggregates(DATABASE) == 0
