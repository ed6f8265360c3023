"""Each message takes effect exactly once, whatever is killed meanwhile.

The oracle is sensors_generator.stream, which knows each message's fate from how it was made.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import lake
import probe
import pytest
import stored

from millrace.access import remote
from sensors_generator.stream import Item, Shares, scenario, span, summary

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lab

COUNT = 20_000
RATE = 1_000.0
SEED = 20261121
EXECUTOR = "[C]oarseGrainedExecutorBackend"
RUN_DIRECTORY = (
    "import json; print(json.load(open('/etc/millrace/sensors-job/config.json'))['run_directory'])"
)


def kill_unit(node: str, unit: str) -> None:
    """Kill a unit's main process with SIGKILL; systemd is to bring it back."""
    remote.run(node, ["sudo", "systemctl", "kill", "-s", "KILL", "--kill-whom=main", unit])


def kill_driver() -> None:
    """Kill the job's driver."""
    kill_unit(probe.APPS, "sensors-job.service")


def kill_executor() -> None:
    """Kill an executor of the job, on any of the workers."""
    script = f"pid=$(pgrep -o -f {EXECUTOR}) && sudo kill -9 $pid && echo killed || true"
    nodes = [node.name for node in probe.ENVIRONMENT.topology.members("spark_workers")]
    killed = any(remote.run(node, ["sh", "-c", script]).strip() == "killed" for node in nodes)
    assert killed, "no executor anywhere"


def kill_broker() -> None:
    """Kill one of the brokers."""
    kill_unit(probe.ENVIRONMENT.topology.members("kafka")[-1].name, "kafka.service")


def delete_checkpoint() -> None:
    """Stop the job, delete its checkpoint and all else that it keeps on disk, and start it."""
    directory = remote.run(probe.APPS, ["sudo", "python3", "-c", RUN_DIRECTORY]).strip()
    assert directory.startswith(("/run/", "/var/lib/")), directory
    remote.run(probe.APPS, ["sudo", "systemctl", "stop", "sensors-job.service"])
    # systemd has removed it already where it is the unit's runtime directory, and makes it again.
    remote.run(probe.APPS, ["sudo", "rm", "-rf", "--", directory])
    remote.run(probe.APPS, ["sudo", "systemctl", "start", "sensors-job.service"])


# What the tests have sent, by prefix of their sensors: the lake keeps it when it has gone from the database.
SENT: dict[str, list[lake.Row]] = {}
FAULTS: dict[str, Callable[[], None] | None] = {
    "nothing": None,
    "driver": kill_driver,
    "executor": kill_executor,
    "broker": kill_broker,
    "checkpoint": delete_checkpoint,
}


# Their streams have no invalid messages: the short plan judges them, and the full one the others'.
SHORT = ("nothing", "executor")


def batches(plan: str) -> float:
    """Return how many batches the job says this plan has decided."""
    return lake.job_metrics("sensors_job_batches_total").get(
        f'sensors_job_batches_total{{plan="{plan}"}}', 0.0
    )


def await_short_plan() -> float:
    """Wait until the job decides by the short plan; return how many batches the full one has decided."""
    before = batches("short")
    probe.wait_until("the job to be back at the short plan", lambda: batches("short") > before)
    return batches("full")


@pytest.mark.parametrize("fault", FAULTS)
def test_every_message_takes_effect_exactly_once(sensors: probe.Sensors, fault: str) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - span(COUNT, len(sensors.types)) - timedelta(minutes=5)
    rules = probe.rules()
    seed = SEED + list(FAULTS).index(fault)
    shares = Shares(invalid=0.0) if fault in SHORT else Shares()
    items = list(
        scenario(seed, COUNT, sensors.types, start, shares=shares, rules=rules, huge_bytes=5_000_000)
    )
    full = await_short_plan() if fault in SHORT else None
    since = {topic: probe.ends(topic) for topic in ("sensors.anomalies", "sensors.rejected")}

    with ThreadPoolExecutor(max_workers=1) as pool:
        sending = pool.submit(sensors.send, [(item.key, item.value) for item in items], RATE)
        strike = FAULTS[fault]
        if strike:
            probe.wait_until(
                "a part of the messages to be stored", lambda: sending.done() or sensors.total() > COUNT // 10
            )
            strike()
        sending.result()
    probe.wait_until("the job to pass all messages", sensors.processed)

    if full is not None:
        assert batches("full") == full, "only the short plan was tested"
    check_counts(sensors, items)
    check_measurements(sensors, items)
    check_anomalies(sensors, items)
    stored.check_aggregates(sensors.prefix, items)
    check_rejects(sensors, items)
    check_topics(sensors, items, since)
    SENT[sensors.prefix] = lake.messages(items, sensors.sent)


def test_the_lake_has_each_valid_message_once() -> None:
    """Last, and for all that was sent above, since the lake comes a minute later."""
    if not SENT:
        pytest.skip("it looks at what the tests above have sent")
    lake.wait()
    begin = min(row[0] for rows in SENT.values() for row in rows)
    found = lake.history("messages", begin, datetime.now(UTC), "test-*")
    for prefix, rows in SENT.items():
        assert Counter(row for row in found if row[1].startswith(f"{prefix}-")) == Counter(rows)


def check_counts(sensors: probe.Sensors, items: list[Item]) -> None:
    """Check that produced = stored + duplicates + rejected, per sensor, as the oracle says."""
    expected = summary(items)["sensors"]
    produced = {sensor: counts.pop("produced") for sensor, counts in expected.items()}
    unknown = expected.pop("", {"rejected": 0})
    counted = sensors.counts()
    assert counted == expected
    assert {sensor: sum(counts.values()) for sensor, counts in counted.items()} == {
        sensor: count for sensor, count in produced.items() if sensor
    }
    nameless = [row for _, row in sensors.rejects("sensor_id") if row["sensor_id"] == ""]
    assert len(nameless) == unknown["rejected"]


def check_measurements(sensors: probe.Sensors, items: list[Item]) -> None:
    """Check that the stored rows are the accepted readings, each from its own message."""
    expected = [
        (reading.sensor_id, reading.type, reading.event_time, reading.value, place)
        for item, place in zip(items, sensors.sent, strict=True)
        if item.expected.outcome == "stored" and (reading := item.expected.reading)
    ]
    assert sorted(stored.measurements(sensors.prefix)) == sorted(expected)


def check_anomalies(sensors: probe.Sensors, items: list[Item]) -> None:
    """Check that the anomalies are those that the rules give on the stored readings."""
    expected = summary(items)["anomalies"]
    assert expected, "the stream has anomalies"
    assert stored.anomalies(sensors.prefix) == expected


def check_rejects(sensors: probe.Sensors, items: list[Item]) -> None:
    """Check that each rejected message is there once, with its reason and its original bytes."""
    rows = sensors.rejects(
        "reason", "encode(sha256(key), 'hex') AS key", "encode(sha256(value), 'hex') AS value"
    )
    found = {place: (row["reason"], row["key"], row["value"]) for place, row in rows}
    assert len(found) == len(rows), "no reject twice"
    expected = {
        place: (item.expected.reason, digest(item.key), digest(item.value))
        for item, place in zip(items, sensors.sent, strict=True)
        if item.expected.outcome == "rejected"
    }
    assert found == expected


def check_topics(sensors: probe.Sensors, items: list[Item], since: dict[str, dict[str, int]]) -> None:
    """Check that what the outbox held has left it and reached its topics, at least once."""
    newest = probe.query("SELECT coalesce(max(id), 0) AS id FROM sensors.outbox")[0]["id"]
    probe.wait_until(
        "the relay to publish the outbox",
        lambda: not probe.query(f"SELECT id FROM sensors.outbox WHERE id <= {newest} LIMIT 1"),  # noqa: S608 - our own text
    )
    anomalies = {
        (message["partition"], message["offset"], message["rule_id"])
        for key, message in probe.consume("sensors.anomalies", since["sensors.anomalies"])
        if key in sensors.types
    }
    placed = list(zip(items, sensors.sent, strict=True))
    assert anomalies == {
        (*place, rule) for item, place in placed if item.expected.outcome == "stored" for rule in item.rules
    }
    own = {f"{probe.TOPIC}/{partition}/{offset}" for partition, offset in sensors.sent}
    rejected = {
        key: message["reason"]
        for key, message in probe.consume("sensors.rejected", since["sensors.rejected"])
        if key in own
    }
    assert Counter(rejected.values()) == summary(items)["reasons"]


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 of `content` in hex, as the database computes it."""
    return None if content is None else hashlib.sha256(content).hexdigest()
