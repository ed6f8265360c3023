"""What the lifecycle's functions do with chunks, on a real database.

Needs, in SENSORS_JOB_TEST_DATABASE, libpq's parameters as JSON: a throw-away database with the migrations
applied, as sensors_owner (docs/exactly-once.md says how).
"""

from __future__ import annotations

import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import lifecycle_case
import pytest

if "SENSORS_JOB_TEST_DATABASE" not in os.environ:
    pytest.skip("SENSORS_JOB_TEST_DATABASE names no database", allow_module_level=True)

import psycopg2

from millrace_common.config import parse_config
from sensors_job.lifecycle import command as lifecycle_command
from sensors_job.lifecycle import stores as lifecycle_stores
from sensors_job.lifecycle.policy import Chunk, Digest, Group, total
from sensors_job.lifecycle.stores import BusyError, Database

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = json.loads(os.environ["SENSORS_JOB_TEST_DATABASE"])
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
WEEKS = count(27)
"""So many weeks ago: past the time of readings and minutes, of nothing else; each test has its own."""
INSERT = (
    "INSERT INTO sensors.measurements (event_time, sensor_id, type, value, source_partition, source_offset, "
    "appended_at, weekday, hour, business_hours, rules_version) "
    "VALUES (%s, %s, 'voltage', %s, 0, 0, now(), 1, 0, false, 1)"
)


def execute(statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of one statement, if it has any, run in a transaction of its own."""
    with psycopg2.connect(**DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


class Old:
    """A sensor with ten readings, 25 minutes apart, long ago, and their minutes."""

    def __init__(self) -> None:
        """Store them."""
        self.sensor = f"s{uuid.uuid4().hex}"
        self.begin = TODAY - next(WEEKS) * 7 * DAY
        for step in range(10):
            self.insert(step * 25)
        execute(
            "INSERT INTO sensors.sums_1m SELECT * FROM sensors.recomputed_1m WHERE sensor_id = %s",
            self.sensor,
        )

    def insert(self, minutes: int, value: float | None = None) -> None:
        """Store a reading so many minutes after the beginning."""
        time_ = self.begin + timedelta(minutes=minutes)
        execute(INSERT, time_, self.sensor, 220 + minutes / 100 if value is None else value)

    def chunk(self, kind: str = "measurements") -> Chunk:
        """Return the chunk that has them."""
        (found,) = execute(
            "SELECT hypertable_name, range_start, range_end FROM timescaledb_information.chunks "
            "WHERE hypertable_name = %s AND range_start <= %s AND range_end > %s",
            kind,
            self.begin,
            self.begin,
        )
        return Chunk(*found)

    def rows(self, table: str = "measurements") -> int:
        """Return how many rows of the sensor there are."""
        return int(execute(f"SELECT count(*) FROM sensors.{table} WHERE sensor_id = %s", self.sensor)[0][0])  # noqa: S608 - our own text

    def aggregates(self) -> list[tuple[Any, ...]]:
        """Return the sensor's ten minutes and hours, sorted."""
        return [
            row
            for period in ("10m", "1h")
            for row in execute(
                f"SELECT * FROM sensors.aggregates_{period} WHERE sensor_id = %s ORDER BY bucket",  # noqa: S608 - our own text
                self.sensor,
            )
        ]

    def wrong(self) -> list[tuple[Any, ...]]:
        """Return the sensor's minutes that are reported as wrong."""
        return execute("SELECT * FROM sensors.wrong_1m WHERE sensor_id = %s", self.sensor)


@pytest.fixture
def old() -> Old:
    return Old()


@pytest.fixture
def database() -> Iterator[Database]:
    with lifecycle_stores.database(DATABASE) as opened:
        yield opened


def verify(old: Old) -> Chunk:
    """Record that all of the sensor's chunk is held; return the chunk."""
    chunk = old.chunk()
    with lifecycle_stores.database(DATABASE) as database:
        database.record(chunk, total(database.digests(chunk).values()), "lake")
    return chunk


def test_a_verified_chunk_goes_and_its_minutes_are_not_called_wrong(old: Old) -> None:
    assert old.wrong() == []
    chunk, before = verify(old), old.aggregates()
    with lifecycle_stores.database(DATABASE) as database:
        assert database.drop_verified(chunk) is True
        assert chunk not in database.chunks()
    assert (old.rows(), old.rows("sums_1m")) == (0, 10)
    assert (old.wrong(), old.aggregates()) == ([], before)
    assert execute("SELECT kind FROM sensors.dropped WHERE range_start = %s", chunk.begin) == [
        ("measurements",)
    ]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM sensors.measurements WHERE sensor_id = %s AND value > 222",
        "UPDATE sensors.measurements SET value = value + 0.01 WHERE sensor_id = %s AND value > 222",
        "UPDATE sensors.measurements SET event_time = event_time + interval '1 us' WHERE sensor_id = %s",
    ],
)
def test_a_chunk_that_is_not_what_was_verified_stays(old: Old, database: Database, change: str) -> None:
    chunk = old.chunk()
    assert database.drop_verified(chunk) is False, "nobody has verified it"
    verify_with = total(database.digests(chunk).values())
    database.record(chunk, verify_with, "lake")
    execute(change, old.sensor)
    rows = old.rows()
    assert database.drop_verified(chunk) is False
    assert (old.rows(), chunk in database.chunks()) == (rows, True)


def test_an_old_verification_does_not_count(old: Old, database: Database) -> None:
    chunk = old.chunk()
    database.record(chunk, total(database.digests(chunk).values()), "lake")
    execute("UPDATE sensors.verifications SET verified_at = now() - interval '25 hours'")
    assert database.drop_verified(chunk) is False


def test_equal_values_in_two_hours_are_two_groups_and_a_swap_is_seen(old: Old, database: Database) -> None:
    chunk = old.chunk()
    before = database.digests(chunk)
    assert sum(digest.readings for digest in before.values()) == 10
    hours = {group.hour for group in before if group.sensor_id == old.sensor}
    assert hours == {int(old.begin.timestamp()) + hour * 3600 for hour in range(4)}
    execute(
        "UPDATE sensors.measurements SET value = 441 - value WHERE sensor_id = %s AND value < 221", old.sensor
    )
    after = database.digests(chunk)
    assert {group for group in before if before[group] != after[group]} == {
        Group(old.sensor, "voltage", hour) for hour in sorted(hours)[:2]
    }


def test_the_digests_are_those_of_the_lake(database: Database) -> None:
    begin = datetime(2026, 11, 21, 11, tzinfo=UTC)
    execute(
        "INSERT INTO sensors.measurements (event_time, sensor_id, type, value, source_partition, "
        "source_offset, appended_at, weekday, hour, business_hours, rules_version) "
        "SELECT %s + second * interval '1 second', 'd-1', 'temperature', value, 0, 0, now(), 1, 0, false, 1 "
        "FROM unnest(%s::numeric[], %s::double precision[]) AS r (second, value) ON CONFLICT DO NOTHING",
        begin,
        # As texts: a number -0.0 would come without its sign.
        *([str(item) for item in column] for column in zip(*lifecycle_case.READINGS, strict=True)),
    )
    found = database.digests(Chunk("measurements", begin, begin + timedelta(hours=1)))
    assert found[Group("d-1", "temperature", int(begin.timestamp()))] == lifecycle_case.DIGEST


def waiting(application: str) -> bool:
    """Tell whether a connection of that name waits for a lock."""
    statement = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    return bool(execute(statement, application))


@contextmanager
def beside(function: Any, application: str) -> Iterator[Any]:  # noqa: ANN401 - a future
    """Yield the future of a function that has come to wait for a lock under the name of `application`."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(function)
        give_up = time.monotonic() + 30
        while not waiting(application):
            assert not future.done(), "it did not wait"
            assert time.monotonic() < give_up, "it never waited"
        yield future


def test_the_drop_waits_for_a_reading_that_is_being_stored_and_then_keeps_the_chunk(old: Old) -> None:
    chunk, name = verify(old), f"drop-{old.sensor[:20]}"

    def drop() -> bool:
        with lifecycle_stores.database({**DATABASE, "application_name": name}) as database:
            return database.drop_verified(chunk)

    with psycopg2.connect(**DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute(INSERT, (old.begin + timedelta(seconds=1), old.sensor, 1.0))
        with beside(drop, name) as future:
            connection.commit()
            assert future.result(30) is False
    assert old.rows() == 11


def test_a_reading_that_comes_while_a_chunk_is_dropped_is_not_lost(old: Old) -> None:
    chunk, name = verify(old), f"late-{old.sensor[:20]}"

    def insert() -> None:
        late = psycopg2.connect(**DATABASE, application_name=name, options="-c lock_timeout=60s")
        with late, late.cursor() as cursor:
            cursor.execute(INSERT, (old.begin + timedelta(seconds=1), old.sensor, 1.0))

    with psycopg2.connect(**DATABASE) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sensors.drop_verified(%s, %s)", chunk[1:])
        assert cursor.fetchall() == [(True,)]
        with beside(insert, name) as future:
            connection.commit()
            future.result(30)
    assert old.rows() == 1


def test_ten_minutes_and_hours_survive_their_minutes_exactly(old: Old, database: Database) -> None:
    before = old.aggregates()
    assert len(before) == 10 + 4
    database.drop_old(old.chunk("sums_1m"))
    assert (old.rows("sums_1m"), old.rows("sums_10m"), old.rows("sums_1h")) == (0, 10, 4)
    assert old.aggregates() == before
    assert old.wrong() == [], "its readings are still there, but nothing to hold them against"


def test_minutes_of_one_hour_that_go_at_two_times_are_added_up(old: Old, database: Database) -> None:
    execute("DELETE FROM sensors.sums_1m WHERE sensor_id = %s", old.sensor)
    for first in (True, False):
        execute(
            "INSERT INTO sensors.sums_1m SELECT * FROM sensors.recomputed_1m WHERE sensor_id = %s "
            "AND (minimum < 221) = %s",
            old.sensor,
            first,
        )
        if first:
            # Deleted as drop_old does it, but without a word, or recomputed_1m would know of it.
            database.drop_old(old.chunk("sums_1m"))
            execute("DELETE FROM sensors.dropped WHERE kind = 'sums_1m'")
        else:
            both = old.aggregates()
            database.drop_old(old.chunk("sums_1m"))
    assert old.aggregates() == both
    assert sum(row[3] for row in both) == 2 * 10


@pytest.mark.parametrize(
    ("kind", "shift", "message"),
    [
        ("measurements", timedelta(), "by sensors.drop_verified alone"),
        ("sums_1m", timedelta(minutes=1), "query returned no rows"),
        ("sums_1m", 52 * 7 * DAY, "not past their time"),
        ("nothing", timedelta(), "not past their time"),
    ],
)
def test_what_is_not_a_chunk_past_its_time_is_refused(
    old: Old, database: Database, kind: str, shift: timedelta, message: str
) -> None:
    _, begin, end = old.chunk(kind if kind != "nothing" else "sums_1m")
    with pytest.raises(psycopg2.errors.RaiseException if "query" not in message else psycopg2.Error) as told:
        database.drop_old(Chunk(kind, begin + shift, end + shift))
    assert message in str(told.value)
    assert (old.rows(), old.rows("sums_1m")) == (10, 10)


def test_a_snapshot_from_before_the_lock_is_refused(old: Old) -> None:
    chunk = verify(old)
    connection = psycopg2.connect(**DATABASE, options="-c default_transaction_isolation=repeatable\\ read")
    with connection, connection.cursor() as cursor, pytest.raises(psycopg2.Error, match="READ COMMITTED"):
        cursor.execute("SELECT sensors.drop_verified(%s, %s)", chunk[1:])


def test_the_role_can_do_this_and_nothing_else() -> None:
    rights = execute(
        "SELECT p.proname, p.prosecdef, has_function_privilege('sensors_lifecycle', p.oid, 'EXECUTE'), "
        "p.proconfig FROM pg_proc p WHERE p.pronamespace = 'sensors'::regnamespace"
    )
    own = {"digests", "record_verification", "drop_verified", "drop_old"}
    harmless = {"mean", "deviation"}
    assert {name for name, _, may, _ in rights if may} == own | harmless
    for name, definer, _, config in rights:
        if name in own:
            assert definer, name
            assert any("pg_temp" in setting for setting in config), name
    tables = execute(
        "SELECT c.relname, r FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) r "
        "WHERE c.relnamespace = 'sensors'::regnamespace AND c.relkind IN ('r', 'v') "
        "AND has_table_privilege('sensors_lifecycle', c.oid, r)"
    )
    assert tables == [("lifecycle", "SELECT")]


def test_two_runs_at_once_are_refused(database: Database) -> None:
    assert database.policies()
    with pytest.raises(BusyError), lifecycle_stores.database(DATABASE):
        pass


def test_a_whole_run_keeps_what_the_lake_lacks_and_a_second_one_changes_nothing(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Old()
    asked: list[Chunk] = []

    @contextmanager
    def opened(_settings: object) -> Iterator[Any]:
        """Open a lake that has everything but one reading."""

        def held(chunk: Chunk) -> dict[Group, Digest]:
            asked.append(chunk)
            with psycopg2.connect(**DATABASE) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT * FROM sensors.digests(%s, %s)", chunk[1:])
                found = lifecycle_stores.by_group(cursor.fetchall())
            return {
                group: Digest(digest.readings - 1, digest.digest) if group.sensor_id == old.sensor else digest
                for group, digest in found.items()
            }

        yield held

    monkeypatch.setattr(lifecycle_command, "opened_lake", opened)
    postgres = {"host": "d", "database": "s", "username": "u", "ca_file": "/c", "password": "p"}
    settings = parse_config(
        {"postgres": postgres, "lake": {"warehouse": "hdfs://h/l"}}, lifecycle_command.LifecycleSettings
    )
    chunks, before = (old.chunk(), other.chunk()), (old.aggregates(), other.aggregates())
    for _ in range(2):
        with lifecycle_stores.database(DATABASE) as database:
            assert lifecycle_command.clean(database, settings) is False
            assert [chunk in database.chunks() for chunk in chunks] == [True, False]
        assert (old.rows(), other.rows(), old.rows("sums_1m")) == (10, 0, 0)
        assert (old.aggregates(), other.aggregates()) == before
    assert asked.count(chunks[0]) == 2
    assert asked.count(chunks[1]) == 1
