"""What end-to-end tests of the sensors share: sending, consuming, asking the database, cleaning up."""

from __future__ import annotations

import base64
import json
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sensors_oracle.reference import Rule

from millrace import paths
from millrace.access import remote, sql
from millrace.console import CommandError
from millrace.model import secrets
from millrace.model.current import current_environment
from millrace.verbs import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PATIENCE = 600
TOPIC = "sensors.measurements"
# The application, and its database.
SENSORS = "sensors"
# `make chaos` and `make bench` get here while they import, before they could say it themselves.
if wrong := paths.wrong_environment():
    sys.stderr.write(f"{wrong}\n")
    sys.exit(2)
ENVIRONMENT = current_environment()
APPS = ENVIRONMENT.topology.members("spark_drivers")[0].name
DATABASE = ENVIRONMENT.topology.members("timescaledb")[0].name
BROKERS = [
    f"{node.name}:{ENVIRONMENT.catalogue.services['kafka'].ports['client'].first}"
    for node in ENVIRONMENT.topology.members("kafka")
]
KAFKA_PYTHON = "/opt/millrace/sensors-generator/venv/bin/python"
READINGS_A_SECOND = 15.0
WHOLE_SECONDS = 3
# Seconds between two looks at what is waited for: the first pause, and those of what takes long.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 2.0

# Both scripts run on a node that may reach the brokers; all they get, the password too, is on standard input.
PRODUCE = """
import base64, json, sys, time
from kafka import KafkaProducer
given = json.load(sys.stdin)
settings = {"acks": "all", "enable_idempotence": True, "linger_ms": 5, "max_request_size": 16 << 20}
producer = KafkaProducer(delivery_timeout_ms=300000, **settings, **given["client"])
began, futures, answers = time.monotonic(), [], []
for number, (key, value) in enumerate(given["messages"]):
    time.sleep(max(0.0, began + number / given["rate"] - time.monotonic()))
    key, value = (None if text is None else base64.b64decode(text) for text in (key, value))
    futures.append(producer.send(given["topic"], value, key))
for future in futures:
    try:
        sent = future.get(timeout=300)
        answers.append([sent.partition, sent.offset])
    except Exception as error:
        answers.append(type(error).__name__)
json.dump(answers, sys.stdout)
"""
# From the offsets given (or, without any, from the ends: nothing) to the ends as they are now.
CONSUME = """
import json, sys
from kafka import KafkaConsumer, TopicPartition
given = json.load(sys.stdin)
consumer = KafkaConsumer(enable_auto_commit=False, max_partition_fetch_bytes=16 << 20, **given["client"])
wanted = [TopicPartition(given["topic"], p) for p in sorted(consumer.partitions_for_topic(given["topic"]))]
ends = consumer.end_offsets(wanted)
consumer.assign(wanted)
messages = []
if given["offsets"] is not None:
    for tp in wanted:
        consumer.seek(tp, given["offsets"][str(tp.partition)])
    while any(consumer.position(tp) < ends[tp] for tp in wanted):
        for records in consumer.poll(timeout_ms=1000).values():
            messages += [[record.key.decode(), record.value.decode()] for record in records]
json.dump({"ends": {tp.partition: ends[tp] for tp in wanted}, "messages": messages}, sys.stdout)
"""


def password(name: str) -> str:
    """Return a secret of the environment."""
    return secrets.read_vault(paths.state_dir() / "vault.yml", paths.vault_password_file())[name]


def kafka_client() -> dict[str, object]:
    """Return what kafka-python needs to come in as the tests' user, on the apps node."""
    return {
        "bootstrap_servers": BROKERS,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "tests",
        "sasl_plain_password": password("kafka_tests"),
        "ssl_cafile": "/etc/millrace/pki/ca.crt",
    }


def kafka(script: str, **given: object) -> Any:  # noqa: ANN401 - JSON
    """Run a script beside the brokers: `given` and the client's settings on its input, JSON on its output."""
    stdin = json.dumps({"client": kafka_client(), **given})
    return json.loads(remote.run(APPS, [KAFKA_PYTHON, "-c", script], stdin=stdin))


def produce(
    messages: Iterable[tuple[bytes | None, bytes | None]], rate: float = 1000
) -> list[tuple[int, int] | str]:
    """Send (key, value) pairs in order; return each one's (partition, offset), or the name of the error."""
    texts = [[None if b is None else base64.b64encode(b).decode() for b in pair] for pair in messages]
    answers = kafka(PRODUCE, topic=TOPIC, rate=rate, messages=texts)
    return [answer if isinstance(answer, str) else (answer[0], answer[1]) for answer in answers]


def ends(topic: str) -> dict[str, int]:
    """Return the end offset of each of the topic's partitions."""
    offsets: dict[str, int] = kafka(CONSUME, topic=topic, offsets=None)["ends"]
    return offsets


def consume(topic: str, since: dict[str, int]) -> list[tuple[str, dict[str, Any]]]:
    """Return key and decoded value of the messages from the offsets `since` to the end."""
    found = kafka(CONSUME, topic=topic, offsets=since)["messages"]
    return [(key, json.loads(value)) for key, value in found]


def query(statement: str, database: str = SENSORS) -> list[dict[str, Any]]:
    """Return the rows of a SELECT."""
    return sql.query(DATABASE, statement, database=database)


def execute(statement: str) -> str:
    """Run statements on the application's database and return psql's answer."""
    return sql.execute(DATABASE, statement, database=SENSORS)


def ledger() -> dict[int, int]:
    """Return the offsets that the database has come to, by partition."""
    rows = query(f"SELECT partition, next_offset FROM sensors.ledger WHERE topic = '{TOPIC}'")  # noqa: S608 - our own text
    return {row["partition"]: row["next_offset"] for row in rows}


def rules() -> tuple[Rule, ...]:
    """Return the enabled rules as the database has them, so that the oracle judges by the same."""
    rows = query(
        "SELECT rule_id, type, comparison, threshold, severity, sensor_id, except_sensor_id "
        "FROM sensors.anomaly_rules WHERE enabled"
    )
    return tuple(Rule(**row) for row in rows)


def wait_until(what: str, condition: Callable[[], object]) -> None:
    """Poll until the condition holds; fail with what was awaited after a generous time."""
    give_up = time.monotonic() + PATIENCE
    # Most conditions hold soon; those that take long are asked less often.
    pause = SHORTEST_PAUSE
    while not condition():
        if time.monotonic() > give_up:
            message = f"waited {PATIENCE} s for {what}"
            raise AssertionError(message)
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE)


def flowing() -> bool:
    """Tell whether everything is up and the database stores all that the generator sends."""
    seen = status.collect(ENVIRONMENT)
    figures = seen.sections[SENSORS].figures
    rate = float(figures["per_second"]) if figures else 0.0
    return seen.healthy and rate >= READINGS_A_SECOND


def now() -> str:
    """Return the database's time."""
    (row,) = query("SELECT now()::text AS now")
    return str(row["now"])


def flowing_since(moment: str) -> bool:
    """Tell whether all is up, and of three whole seconds after `moment` every reading is stored.

    Of seconds after the moment, not of the last ones: a job that has to catch up is waited for no longer than
    it takes it. False while the database does not answer.
    """
    begin = f"date_trunc('second', '{moment}'::timestamptz) + interval '1 s'"
    try:
        (row,) = query(
            "SELECT count(*) AS whole FROM ("  # noqa: S608 - our own text
            f"SELECT date_trunc('second', event_time) FROM sensors.measurements WHERE event_time >= {begin} "
            f"GROUP BY 1 HAVING count(*) >= {READINGS_A_SECOND}) AS seconds"
        )
    except CommandError:
        return False
    return bool(row["whole"] >= WHOLE_SECONDS) and status.collect(ENVIRONMENT).healthy


def answering(unit: str) -> bool:
    """Tell whether the health address of one of our services on the apps node says that all is well."""
    port = ENVIRONMENT.catalogue.services[unit].ports["http"].first
    command = f"curl -sf --noproxy '*' -o /dev/null http://127.0.0.1:{port}/healthz && echo well || true"
    return remote.run(APPS, ["sh", "-c", command]).strip() == "well"


@dataclass
class Sensors:
    """Three sensors of a test's own, and what was sent for them."""

    prefix: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")
    sent: list[tuple[int, int]] = field(default_factory=list)

    @property
    def types(self) -> dict[str, str]:
        """The sensors' ids and types."""
        return {f"{self.prefix}-{kind}": kind for kind in ("temperature", "pressure", "voltage")}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return what the database counts for each of the sensors."""
        rows = query(f"SELECT * FROM sensors.totals WHERE sensor_id LIKE '{self.prefix}-%'")  # noqa: S608 - our own text
        return {row.pop("sensor_id"): row for row in rows}

    def total(self) -> int:
        """Return how many messages of the sensors have taken effect."""
        return sum(sum(counts.values()) for counts in self.counts().values())

    def rejects(self, *columns: str, database: str = SENSORS) -> list[tuple[tuple[int, int], dict[str, Any]]]:
        """Return (partition, offset) and `columns` of the rejects that the sent messages became."""
        places: dict[int, list[int]] = {}
        for partition, offset in self.sent:
            places.setdefault(partition, []).append(offset)
        # By ranges, as a list of all places would be too long for a command line.
        ranges = " OR ".join(
            f"(source_partition = {partition} AND source_offset BETWEEN {min(offsets)} AND {max(offsets)})"
            for partition, offsets in places.items()
        )
        rows = query(
            f"SELECT source_partition, source_offset, {', '.join(columns)} FROM sensors.rejects "  # noqa: S608 - our own text
            f"WHERE source_topic = '{TOPIC}' AND ({ranges or 'false'})",
            database,
        )
        own = set(self.sent)
        found = [((row.pop("source_partition"), row.pop("source_offset")), row) for row in rows]
        return [(place, row) for place, row in found if place in own]

    def processed(self) -> bool:
        """Tell whether the ledger has passed all that was sent."""
        last: dict[int, int] = {}
        for partition, offset in self.sent:
            last[partition] = max(offset, last.get(partition, -1))
        passed = ledger()
        return all(passed.get(partition, 0) > offset for partition, offset in last.items())

    def send(self, messages: Sequence[tuple[bytes | None, bytes | None]], rate: float = 1000) -> None:
        """Send messages that must all be taken, and remember their places."""
        answers = produce(messages, rate)
        refused = [answer for answer in answers if isinstance(answer, str)]
        assert not refused, f"the brokers refused messages: {set(refused)}"
        self.sent += [answer for answer in answers if not isinstance(answer, str)]

    def remove(self) -> None:
        """Delete every trace from the database. The messages in the topics stay until they expire."""
        if self.sent:
            wait_until("the job to pass what the test sent", self.processed)
        places = ", ".join(f"({partition}, {offset})" for partition, offset in self.sent) or "(-1, -1)"
        # Deleted in one transaction, the counts of unknown sensors ('') reduced by the test's own rejects.
        execute(
            f"""
            BEGIN;
            DELETE FROM sensors.anomaly_rules WHERE rule_id LIKE '{self.prefix}%';
            WITH gone AS (DELETE FROM sensors.rejects WHERE source_topic = '{TOPIC}'
                AND (source_partition, source_offset) IN (SELECT * FROM (VALUES {places}) AS own) RETURNING *)
            UPDATE sensors.counts c SET rejected = c.rejected - n.rejected
            FROM (SELECT source_partition, count(*) AS rejected FROM gone WHERE sensor_id = '' GROUP BY 1) n
            WHERE c.topic = '{TOPIC}' AND c.partition = n.source_partition AND c.sensor_id = '';
            DELETE FROM sensors.measurements WHERE sensor_id LIKE '{self.prefix}-%';
            DELETE FROM sensors.anomalies WHERE sensor_id LIKE '{self.prefix}-%';
            DELETE FROM sensors.sums_1m WHERE sensor_id LIKE '{self.prefix}-%';
            DELETE FROM sensors.sums_10m WHERE sensor_id LIKE '{self.prefix}-%';
            DELETE FROM sensors.sums_1h WHERE sensor_id LIKE '{self.prefix}-%';
            DELETE FROM sensors.counts WHERE sensor_id LIKE '{self.prefix}-%';
            COMMIT;
            """,  # noqa: S608 - our own text
        )


@contextmanager
def own_sensors() -> Iterator[Sensors]:
    """Yield sensors of a test's own, with the job running; every trace is removed afterwards."""
    wait_until("the sensors job to be well", lambda: answering("sensors-job"))
    own = Sensors()
    try:
        yield own
    finally:
        own.remove()
