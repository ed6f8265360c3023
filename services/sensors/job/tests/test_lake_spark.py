"""The lake's table on a real Spark with a real Iceberg, in a directory instead of HDFS."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lifecycle_case
import local_spark
import pytest
from prometheus_client import CollectorRegistry

from millrace_common.config import parse_config
from sensors_job.batch import history
from sensors_job.config import JobSettings
from sensors_job.lake import command as lake_command
from sensors_job.lake import rules as lake
from sensors_job.lake import table as lake_table
from sensors_job.lake.metrics import LakeMetrics
from sensors_job.lake.query import LakeQuery, QueryRun
from sensors_job.lake.table import LakeTable
from sensors_job.lifecycle import stores as lifecycle_stores
from sensors_job.lifecycle.policy import Chunk, Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = local_spark.MARKS
TOPIC = "sensors.measurements"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROW = "event_time, sensor_id, value, source_partition, source_offset"


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with local_spark.session(tmp_path_factory.mktemp("lake")) as made:
        yield made


class Lake:
    """A topic that is a list for each partition, and the lake's query on a table of its own."""

    def __init__(self, spark: Any, directory: Path, name: str) -> None:  # noqa: ANN401 - pyspark
        """Make the table."""
        self.spark = spark
        self.directory = directory
        warehouse = spark.conf.get("spark.sql.catalog.lake.warehouse")
        data = {
            "kafka": {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"},
            "postgres": {"host": "d", "database": "s", "username": "u", "ca_file": "/c", "password": "p"},
            "http": {"port": 0},
            "run_directory": str(directory),
            "lake": {"warehouse": warehouse, "table": f"{name}.readings"},
        }
        settings = parse_config(data, JobSettings)
        assert settings.lake is not None
        self.settings = settings.lake
        self.maintenance = parse_config(
            {"lake": data["lake"], "postgres": data["postgres"], "keep_hours": 0},
            lake_command.MaintenanceSettings,
        )
        self.table = LakeTable(spark, self.settings, TOPIC)
        self.table.make()
        self.query = LakeQuery(settings, self.settings, LakeMetrics(CollectorRegistry()))
        self.topic: dict[int, list[dict[str, Any] | None]] = {0: [], 1: []}
        self.batches = 0

    def send(self, partition: int, second: float, value: float, *, sensor: str = "t-1") -> None:
        """Put a reading of `second` seconds after noon into the topic."""
        stamp = f"{NOON + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S.%fZ}"
        message = {
            "sensor_id": sensor,
            "type": "temperature",
            "value": value,
            "unit": "°C",
            "timestamp": stamp,
        }
        self.topic[partition].append(message)

    def reject(self, partition: int) -> None:
        """Put a message into the topic that is no reading."""
        self.topic[partition].append(None)

    def end(self) -> lake.Offsets:
        """Return the topic's end."""
        return {partition: len(messages) for partition, messages in self.topic.items()}

    def start(self) -> lake.Offsets:
        """Return where a query begins that has no checkpoint."""
        ledger = self.table.ledger()
        available = {partition: (0, end) for partition, end in self.end().items()}
        return lake.starting_offsets(ledger.to if ledger else {}, TOPIC, available)

    def batch(self, start: lake.Offsets | None = None, end: lake.Offsets | None = None) -> None:
        """Let the query write one batch, as a fresh one does: by default all that is new."""
        start, end = start or self.start(), end or self.end()
        checkpoint = self.directory / f"checkpoint-{self.batches}"
        (checkpoint / "offsets").mkdir(parents=True)
        (checkpoint / "offsets" / "0").write_text(f"v1\n{{}}\n{json.dumps({TOPIC: end})}")
        self.batches += 1
        rows = [
            (b"k", None if message is None else json.dumps(message).encode(), partition, offset, NOON)
            for partition in end
            for offset, message in enumerate(self.topic[partition])
            if start.get(partition, 0) <= offset < end[partition]
        ]
        messages = self.spark.createDataFrame(rows, local_spark.MESSAGE)
        self.query.batch(self.table, QueryRun(start, checkpoint), messages, 0)

    def expected(self) -> list[tuple[Any, ...]]:
        """Return all valid messages of the topic, as ROW, in the order of their coordinates."""
        return [
            (datetime.fromisoformat(message["timestamp"]), message["sensor_id"], message["value"], p, offset)
            for p, messages in sorted(self.topic.items())
            for offset, message in enumerate(messages)
            if message is not None
        ]

    def first_ones(self) -> list[tuple[Any, ...]]:
        """Return the first message of each identity."""
        found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for row in self.expected():
            found.setdefault(row[:2], row)
        return sorted(found.values(), key=lambda row: row[3:])

    def rows(self, query: str | None = None) -> list[tuple[Any, ...]]:
        """Return what the table (or a query) holds, in the order of coordinates."""
        source = query or f"TABLE {self.settings.name}"
        text = f"SELECT {ROW} FROM ({source}) ORDER BY 4, 5"  # noqa: S608 - our own text
        return [(row[0].astimezone(UTC), *row[1:]) for row in map(tuple, self.spark.sql(text).collect())]

    def snapshots(self) -> int:
        """Return how many snapshots there are."""
        return int(self.spark.table(f"{self.settings.name}.snapshots").count())

    def expire_all(self) -> None:
        """Expire what can expire, as an operator might."""
        table = self.settings.table
        self.spark.sql(
            f"CALL lake.system.expire_snapshots(table => '{table}', "
            "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)"
        ).collect()


@pytest.fixture
def bench(spark: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Lake:  # noqa: ANN401 - pyspark
    name = "".join(letter for letter in request.node.name.lower() if letter.isalnum())
    made = Lake(spark, tmp_path, "t" + name[-40:])
    for second in range(5):
        made.send(0, second, 20 + second / 100)
        made.send(1, second, 21.5, sensor="t-2")
    return made


def test_a_batch_written_again_or_replayed_without_checkpoint_adds_nothing(bench: Lake) -> None:
    bench.batch({0: 0, 1: 0}, {0: 3, 1: 2})
    before = bench.snapshots()
    bench.batch({0: 0, 1: 0}, {0: 3, 1: 2})
    assert bench.snapshots() == before, "the same batch again must not even commit"
    bench.batch({0: 0, 1: 0}, {0: 5, 1: 4})
    bench.batch()
    assert bench.rows() == bench.expected()
    assert bench.start() == bench.end()


@pytest.mark.parametrize("maintenance", [True, False])
def test_a_replay_after_compaction_and_expiry_adds_nothing(bench: Lake, *, maintenance: bool) -> None:
    for end in ({0: 2, 1: 1}, {0: 3, 1: 4}, {0: 5, 1: 5}):
        bench.batch(end=end)
    if maintenance:
        lake_command.maintain(bench.spark, bench.maintenance)
        assert bench.spark.table(f"{bench.settings.name}.files").count() == 1
        bench.spark.sql(f"CALL lake.system.rewrite_manifests('{bench.settings.table}')").collect()
    bench.expire_all()
    assert bench.snapshots() <= 2
    bench.batch({0: 0, 1: 0})
    assert bench.rows() == bench.expected()
    bench.send(0, 9, 20.5)
    bench.batch({0: 0, 1: 0})
    assert bench.rows() == bench.expected()


def test_expiry_of_a_job_that_is_down_for_days_keeps_the_way_to_the_ledger(bench: Lake) -> None:
    bench.batch({0: 0, 1: 0}, {0: 2, 1: 2})
    bench.batch()
    for _ in range(2):
        lake_command.maintain(bench.spark, bench.maintenance)
        bench.spark.sql(f"CALL lake.system.rewrite_manifests('{bench.settings.table}')").collect()
    assert bench.start() == bench.end()
    bench.reject(0)
    bench.batch()
    lake_command.maintain(bench.spark, bench.maintenance)
    assert bench.start() == bench.end()


def test_messages_that_are_no_readings_move_the_ledger_alone(bench: Lake) -> None:
    bench.batch()
    bench.reject(0)
    bench.reject(1)
    bench.batch()
    assert bench.start() == bench.end() == {0: 6, 1: 6}
    assert bench.rows() == bench.expected()


def test_a_gap_fails_and_leaves_nothing(bench: Lake) -> None:
    bench.batch({0: 0, 1: 0}, {0: 2, 1: 2})
    with pytest.raises(lake.LedgerError, match="partition 1: the batch begins at 3, the ledger's next is 2"):
        bench.batch({0: 2, 1: 3})
    assert len(bench.rows()) == 4


def test_a_table_without_ledger_is_refused_until_a_person_restores_it(bench: Lake) -> None:
    bench.batch({0: 0, 1: 0}, {0: 3, 1: 2})
    bench.spark.table(bench.settings.name).where("false").writeTo(bench.settings.name).append()
    bench.expire_all()
    with pytest.raises(lake.LedgerError, match="When the lake's ledger is lost"):
        bench.batch({0: 0, 1: 0})
    with pytest.raises(lake.LedgerError, match="When the lake's ledger is lost"):
        lake_command.maintain(bench.spark, bench.maintenance)
    assert bench.table.restore({}) == {0: 3, 1: 2}
    bench.batch({0: 0, 1: 0})
    assert bench.rows() == bench.expected()


def test_a_person_can_give_messages_up_but_not_append_any_twice(bench: Lake) -> None:
    bench.batch({0: 0, 1: 0}, {0: 3, 1: 2})
    assert bench.table.restore({0: 1, 1: 4, 7: 9}) == {0: 3, 1: 4, 7: 9}
    bench.batch({0: 3, 1: 4})
    assert bench.rows() == [row for row in bench.expected() if row[3:] not in {(1, 2), (1, 3)}]


def test_data_without_metadata_are_no_new_table(bench: Lake) -> None:
    bench.batch()
    directory = Path(bench.settings.warehouse.removeprefix("file://"), *bench.settings.table.split("."))
    (directory / "metadata").rename(directory / "elsewhere")
    with pytest.raises(lake.LedgerError, match="no metadata"):
        bench.table.make()
    (directory / "data").rename(directory / "other")
    bench.table.make()
    assert bench.rows() == []


def test_two_jobs_that_append_the_same_are_found_and_the_view_stays_right(bench: Lake) -> None:
    rows = bench.spark.createDataFrame(
        [(NOON, "t-1", "temperature", 20.0, 0, 0, NOON)], lake.SCHEMA.replace(" NOT NULL", "")
    )
    step = lake.Step({0: 0, 1: 0}, {0: 1, 1: 0}, None)
    bench.table.append(rows, step)
    for attempt in (lambda: bench.table.append(rows, step), bench.batch):
        with pytest.raises(lake.LedgerError, match="two jobs append to one table"):
            attempt()
    assert bench.table.restore({}) == {0: 1}
    bench.batch()
    assert len(bench.rows()) == len(bench.expected()) + 1
    assert bench.rows(lake.distinct_readings(bench.settings.name)) == bench.first_ones()


def test_history_finds_a_period_of_one_sensor_sorted_and_each_reading_once(bench: Lake) -> None:
    for second in (3, 1, 2, 1, 4):
        bench.send(0, second, float(second), sensor="h-1")
        bench.send(1, second, float(second), sensor="h-2")
    bench.batch()
    period = history.Period(NOON + timedelta(seconds=1), NOON + timedelta(seconds=4), "h-2")
    found = list(history.lake_readings(bench.spark, bench.settings.name, period))
    assert [(reading.event_time - NOON).total_seconds() for reading in found] == [1.0, 2.0, 3.0]
    assert [reading[1:] for reading in found] == [
        ("h-2", "temperature", 1.0, 1, 6),
        ("h-2", "temperature", 2.0, 1, 7),
        ("h-2", "temperature", 3.0, 1, 5),
    ]
    both = list(history.lake_readings(bench.spark, bench.settings.name, period._replace(sensor="h-*")))
    assert [reading.sensor_id for reading in both] == ["h-1", "h-2"] * 3
    sent = history.lake_readings(bench.spark, bench.settings.name, period, messages=True)
    assert [reading.source_offset for reading in sent] == [6, 8, 7, 5]


def test_the_digests_are_those_of_the_database(bench: Lake) -> None:
    # The hour before: what is ahead of the broker's time is no reading.
    begin = NOON - timedelta(hours=1)
    for second, value in lifecycle_case.READINGS:
        bench.send(0, second - 3600, value, sensor="d-1")
        bench.send(0, second - 3600, value, sensor="d-1")
    bench.send(0, 0, 20.0, sensor="d-1")
    bench.batch()
    name = bench.settings.name
    found = lifecycle_stores.lake_digests(bench.spark, name, Chunk("measurements", begin, NOON))
    assert found == {Group("d-1", "temperature", int(begin.timestamp())): lifecycle_case.DIGEST}


def test_the_view_has_the_first_message_of_each_identity(bench: Lake) -> None:
    bench.send(0, 1, 20.01)  # a duplicate
    bench.send(0, 2, 99.99)  # a conflict
    bench.send(1, 3, 33.33)  # of another partition, although earlier there
    bench.batch({0: 0, 1: 0}, {0: 3, 1: 6})
    bench.batch()
    assert bench.rows() == bench.expected()
    assert bench.rows(lake.distinct_readings(bench.settings.name)) == bench.first_ones()
    assert len(bench.first_ones()) == 10


def test_maintenance_beside_appends_loses_and_doubles_nothing(bench: Lake) -> None:
    bench.batch({0: 0, 1: 0}, {0: 3, 1: 3})
    bench.batch({0: 3, 1: 3}, {0: 4, 1: 4})
    failures: list[BaseException] = []

    def maintenance() -> None:
        try:
            lake_command.maintain(bench.spark, bench.maintenance)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(error)

    thread = threading.Thread(target=maintenance)
    thread.start()
    second = 10
    while thread.is_alive():
        bench.send(second % 2, second, 20.0)
        bench.batch()
        second += 1
    thread.join()
    assert failures == []
    assert bench.rows() == bench.expected()
    bench.batch({0: 0, 1: 0})
    assert bench.rows() == bench.expected()


class OvertakenTable:
    """An Iceberg table: `meanwhile` happens after the start of a change of its tags, before its commit."""

    def __init__(self, table: Any, meanwhile: Callable[[], None]) -> None:  # noqa: ANN401 - py4j
        """Stand before `table`."""
        self._table = table
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - py4j
        """Pass everything else on."""
        return getattr(self._table, name)

    def manageSnapshots(self) -> Any:  # noqa: ANN401, N802 - Iceberg's name
        """Start the change, then be overtaken."""
        started = self._table.manageSnapshots()
        self._meanwhile()
        return started


@pytest.mark.parametrize("existing", [False, True])
def test_a_tag_that_an_append_overtakes_is_written_after_it(
    bench: Lake, monkeypatch: pytest.MonkeyPatch, *, existing: bool
) -> None:
    bench.batch({0: 0, 1: 0}, {0: 1, 1: 1})
    if existing:
        bench.table.tag()
        bench.batch({0: 1, 1: 1}, {0: 2, 1: 2})
    left = [{0: 3, 1: 3}, {0: 4, 1: 4}]

    def append() -> None:
        if left:
            bench.batch(end=left.pop(0))

    load = bench.table._load  # noqa: SLF001 - where the table comes from
    monkeypatch.setattr(bench.table, "_load", lambda: OvertakenTable(load(), append))
    ledger = bench.table.tag()
    assert ledger is not None
    assert ledger.to == {0: 4, 1: 4}
    assert load().refs().get(lake.TAG).snapshotId() == ledger.entry.snapshot_id
    assert left == []
    bench.batch()
    assert bench.rows() == bench.expected()


def test_a_tag_that_is_always_overtaken_fails_in_the_end(
    bench: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.batch()
    load = bench.table._load  # noqa: SLF001 - as above
    seconds = iter(range(100, 200))

    def append() -> None:
        bench.send(0, next(seconds), 20.0)
        bench.batch()

    monkeypatch.setattr(bench.table, "_load", lambda: OvertakenTable(load(), append))
    monkeypatch.setattr(lake_table, "TAG_ATTEMPTS", 3)
    with pytest.raises(Exception, match="CommitFailedException"):
        bench.table.tag()
    assert next(seconds) == 103


def test_a_reading_takes_at_most_four_bytes_after_compaction(bench: Lake) -> None:
    """Two hours of the generator: three sensors, 200 ms apart, values in steps of 0.01."""
    name = bench.settings.name
    ids = "(ARRAY('temperature-1', 'pressure-1', 'voltage-1'))[CAST(id % 3 AS INT)]"
    bench.spark.range(0, 108_000).selectExpr(
        "TIMESTAMP '2026-11-21 00:00:00' + make_interval(0, 0, 0, 0, 0, 0, (id DIV 3) * 0.2) AS event_time",
        f"{ids} AS sensor_id",
        f"split_part({ids}, '-', 1) AS type",
        "round(20 + 3 * sin(id / 20000) + 0.1 * randn(7), 2) AS value",
        "CAST(id % 3 AS INT) AS source_partition",
        "id DIV 3 AS source_offset",
        "timestamp_millis(unix_millis(event_time) + CAST(5 + 15 * rand(8) AS INT)) AS appended_at",
    ).repartition(10).writeTo(name).option("use-table-distribution-and-ordering", "false").option(
        "fanout-enabled", "true"
    ).append()
    bench.spark.sql(lake_command.compaction(bench.maintenance)).collect()
    (size,) = bench.spark.sql(
        "SELECT count(*) AS files, sum(file_size_in_bytes) / sum(record_count) AS bytes "  # noqa: S608 - ours
        f"FROM {name}.files"
    ).collect()
    assert size.files == 1
    assert size.bytes < 4
