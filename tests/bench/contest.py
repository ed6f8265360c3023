"""One backlog, written by the job and by others into the same hypertable, in turns.

How the job is measured: its next batch is held by a lock on the ledger while all messages are produced, then
let go, and the window runs from the commit of the batch that was held (a few messages) to the last commit. So
it always has more to take, its processes are warm, and the producer has ended before the window begins.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import probe
import stage
from visibility import MeasurementError, Window, saturated
from watching import Watch

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from node_process import NodeProcess

PRODUCE, INSERT, COPY = (
    Path(__file__).with_name(f"on_node_{name}.py").read_text(encoding="utf-8")
    for name in ("produce", "insert", "copy")
)
PSYCOPG_PYTHON = "/opt/millrace/sensors-relay/venv/bin/python"
KINDS = ("temperature", "pressure", "voltage")
STEP = 200_000  # microseconds between two readings of a sensor, as of the lab's own
ANOMALY_SHARE = 0.01  # as the lab's generator sends
LONGEST_HOLD = 100  # seconds; the job waits 120 for a lock, then it fails
PATIENCE = 600  # seconds for a backlog to be drained
INTERVAL = 0.02  # seconds between two looks at the ledger, next to nothing beside a window of seconds
# What the job's COPY names; the rest the database adds.
COLUMNS = (
    "event_time",
    "sensor_id",
    "type",
    "value",
    "source_partition",
    "source_offset",
    "appended_at",
    "weekday",
    "hour",
    "business_hours",
    "rules_version",
)
RESET = """
DELETE FROM sensors.measurements WHERE sensor_id LIKE 'bench-%';
DELETE FROM sensors.sums_1m;
DELETE FROM sensors.anomalies;
DELETE FROM sensors.counts;
TRUNCATE sensors.outbox, sensors.rejects;
VACUUM sensors.measurements;
VACUUM sensors.sums_1m;
VACUUM sensors.anomalies;
CHECKPOINT;
"""


@dataclass(frozen=True)
class Load:
    """What is written and what is there: `rows` readings a round, of `sensors`; `stored` ones from before."""

    rows: int
    stored: int
    partitions: int = 3
    sensors: int = 6
    seed: int = 1

    @property
    def rows_a_sensor(self) -> int:
        """How many readings each sensor has in a round; the first ones may have one more."""
        return -(-self.rows // self.sensors)


def sensors(count: int, prefix: str = "bench") -> list[tuple[str, str]]:
    """Return ids and types; types take turns."""
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    return [(f"{prefix}-{kind}-{number + 1}", kind) for number, kind in enumerate(kinds)]


def producer_client() -> dict[str, object]:
    """Return the client's settings as the superuser: the bench's topics have no access rules of their own."""
    user = {"sasl_plain_username": "admin", "sasl_plain_password": probe.password("kafka_admin")}
    return {**probe.kafka_client(), **user}


@dataclass
class Contest:
    """A load on a stage. Use `on_stage`; each method is one run of one way, and leaves no row behind."""

    load: Load
    topic: str = field(default_factory=lambda: f"{stage.TOPICS}{uuid.uuid4().hex[:8]}")
    begin: int = field(init=False)
    produced: dict[str, list[int]] = field(default_factory=dict)
    """The offsets of the last round's messages, [first, end] by partition."""

    def __post_init__(self) -> None:
        """Choose the event times: all in the past, the same in every round."""
        now = time.time_ns() // 1000
        self.begin = (now // STEP - self.load.rows_a_sensor) * STEP - 600_000_000

    def job(self) -> Window:
        """Let the job drain a backlog of the load's rows."""
        database = stage.DATABASE
        with Watch(self.topic, interval=INTERVAL, database=database, hold=True) as watch:
            held, began = watch.offsets, time.monotonic()
            self._produce()
            if time.monotonic() - began > LONGEST_HOLD:
                message = f"producing took {time.monotonic() - began:.0f} s, the job waits less: fewer ROWS"
                raise MeasurementError(message)
            ends = {int(partition): end for partition, (_, end) in self.produced.items()}
            watch.release()
            watch.wait(ends, PATIENCE)
            window = saturated(watch.changes, held, ends)
        self._settle(self.load.rows)
        return window

    def copy(self) -> float:
        """Let the server COPY the same rows; return the rows a second."""
        given = {"database": stage.DATABASE, "columns": COLUMNS, "file": stage.COPY_FILE}
        command = ["sudo", "-u", "postgres", "python3", "-c", COPY]
        found = json.loads(remote.run(probe.DATABASE, command, stdin=json.dumps(given)))
        self._settle(self.load.rows)
        return self.load.rows / float(found["seconds"])

    def jdbc(self, application: NodeProcess) -> float:
        """Let Spark's JDBC writer write the messages of the job's last run; return the rows a second."""
        application.send({"offsets": self.produced})
        seconds = float(application.receive(PATIENCE))
        self._settle(self.load.rows)
        return self.load.rows / seconds

    def insert(self, rows: int, each: int) -> float:
        """INSERT row by row, `each` rows a transaction; return the rows a second."""
        given = {"database": self._connection(), "columns": COLUMNS, "rows": rows, "each": each}
        command = [PSYCOPG_PYTHON, "-c", INSERT]
        seconds = float(json.loads(remote.run(probe.APPS, command, stdin=json.dumps(given))))
        self._settle(rows)
        return rows / seconds

    def prepare(self) -> None:
        """Store the readings of before, and let the job run once to warm up and to make the rows to copy."""
        load = self.load
        stored = sensors(max(len(KINDS), load.stored * load.sensors // load.rows), "stored")
        values = ", ".join(f"('{sensor}', '{kind}')" for sensor, kind in stored)
        stage.execute(
            f"""
            INSERT INTO sensors.measurements ({", ".join(COLUMNS)})
            SELECT to_timestamp({self.begin} / 1e6) + n * interval '{STEP} microseconds', sensor_id, type,
                n % 1000 / 100.0, 0, n, now(), 1, 0, true, 1
            FROM generate_series(0, {load.stored // len(stored) - 1}) n
            CROSS JOIN (VALUES {values}) s (sensor_id, type);
            ANALYZE sensors.measurements;
            """  # noqa: S608 - our own text
        )
        self.keep_rows()

    def keep_rows(self) -> None:
        """Keep the rows of one run of the job, in a table and in a file of the server's."""
        with Watch(self.topic, interval=INTERVAL, database=stage.DATABASE) as watch:
            self._produce()
            watch.wait({int(partition): end for partition, (_, end) in self.produced.items()}, PATIENCE)
        stage.execute(
            f"""
            CREATE SCHEMA bench;
            CREATE UNLOGGED TABLE bench.rows AS SELECT {", ".join(COLUMNS)} FROM sensors.measurements
            WHERE sensor_id LIKE 'bench-%' ORDER BY source_offset, source_partition;
            GRANT USAGE ON SCHEMA bench TO sensors_job;
            GRANT SELECT ON bench.rows TO sensors_job;
            COPY (TABLE bench.rows) TO '{stage.COPY_FILE}';
            """  # noqa: S608 - our own text
        )
        self._settle(self.load.rows)

    def _produce(self) -> None:
        load = self.load
        given = {
            "client": producer_client(),
            "topic": self.topic,
            "partitions": load.partitions,
            "sensors": sensors(load.sensors),
            "seed": load.seed,
            "anomaly_share": ANOMALY_SHARE,
            "count": load.rows,
            "begin": self.begin,
            "step": STEP,
            "rate": None,
        }
        command = [probe.KAFKA_PYTHON, "-c", PRODUCE]
        self.produced = json.loads(remote.run(probe.APPS, command, stdin=json.dumps(given)))["offsets"]

    def _settle(self, rows: int) -> None:
        """Hold the number of rows against what was to be written, then remove them."""
        statement = "SELECT count(*) AS rows FROM sensors.measurements WHERE sensor_id LIKE 'bench-%'"
        (found,) = probe.query(statement, stage.DATABASE)
        if found["rows"] != rows:
            message = f"{found['rows']} rows were written, not {rows}"
            raise MeasurementError(message)
        stage.execute(RESET)

    def _connection(self) -> Mapping[str, Any]:
        """Return what psycopg2 needs to come in as the job does."""
        settings = stage.deployed_config()["postgres"]
        return {
            "host": settings["host"],
            "port": settings["port"],
            "dbname": stage.DATABASE,
            "user": settings["username"],
            "password": settings["password"],
            "sslmode": "verify-full",
            "sslrootcert": settings["ca_file"],
        }


@contextmanager
def on_stage(load: Load) -> Iterator[Contest]:
    """Yield a contest that is prepared: readings of before, a warm job, rows to copy."""
    contest = Contest(load)
    with stage.running(contest.topic, load.partitions, load.partitions):
        contest.prepare()
        yield contest
