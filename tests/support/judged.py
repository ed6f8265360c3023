"""A stream of known messages through the platform, and the judgement on what became of each of them.

The oracle is sensors_oracle.stream, which knows each message's fate from how it was made.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Self

import lake
import probe
import stored
from sensors_oracle.stream import Item, Shares, scenario, span, summary

if TYPE_CHECKING:
    from concurrent.futures import Future

MOST = 500_000  # messages: enough for any test, however slow the machine
PART = 4_000  # messages that are sent before it is asked whether they are enough
HUGE = 5_000_000  # bytes of the first message that is too large


class Stream:
    """Messages of a test's sensors that flow at `rate` a second, inside of a `with`, until they are to stop.

    They are `count` or more. `items` are those that the brokers have taken, the sensors' `sent` their places.
    """

    def __init__(self, sensors: probe.Sensors, seed: int, count: int, rate: float, shares: Shares) -> None:
        """Prepare the stream; nothing is sent yet."""
        self.sensors, self.items = sensors, list[Item]()
        self._least, self._rate = count, rate
        start = datetime.now(UTC).replace(microsecond=0) - span(MOST, len(sensors.types))
        self._source = scenario(
            seed,
            MOST,
            sensors.types,
            start - timedelta(minutes=5),
            shares=shares,
            rules=probe.rules(),
            huge_bytes=HUGE,
        )
        self._since = {topic: probe.ends(topic) for topic in ("sensors.anomalies", "sensors.rejected")}
        self._enough = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._sending: Future[None] | None = None

    def __enter__(self) -> Self:
        """Begin to send."""
        self._sending = self._pool.submit(self._send)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop after the part that is being sent."""
        self._least = 0
        self._enough.set()
        self._pool.shutdown()

    def _send(self) -> None:
        while len(self.items) < self._least or not self._enough.is_set():
            # Each part by a producer of its own, one after the other, which keeps the order.
            some = list(islice(self._source, PART))
            assert some, f"all of the {MOST} messages are sent, and the test has not come to its end"
            self.sensors.send([(item.key, item.value) for item in some], self._rate)
            self.items += some

    def flows(self) -> bool:
        """Tell whether messages are being sent; raise what ended them."""
        assert self._sending, "it has begun"
        if self._sending.done():
            self._sending.result()
        return not self._sending.done()

    def stop(self) -> None:
        """End the stream, and wait until the job has passed all of it."""
        assert self._sending, "it has begun"
        self._enough.set()
        self._sending.result()
        probe.wait_until("the job to pass all messages", self.sensors.processed)

    def judge(self) -> None:
        """Check that each message has had its effect once, in the database, in the topics and in the lake."""
        sensors, items = self.sensors, self.items
        check_counts(sensors, items)
        check_measurements(sensors, items)
        check_anomalies(sensors, items)
        stored.check_aggregates(sensors.prefix, items)
        check_rejects(sensors, items)
        check_topics(sensors, items, self._since)
        check_lake(sensors, items)


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


def check_lake(sensors: probe.Sensors, items: list[Item]) -> None:
    """Check that the lake has each valid message once, which comes there some time later."""
    lake.wait()
    rows = lake.messages(items, sensors.sent)
    begin = min(row[0] for row in rows)
    found = lake.history("messages", begin, datetime.now(UTC), f"{sensors.prefix}-*")
    assert Counter(found) == Counter(rows)


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 of `content` in hex, as the database computes it."""
    return None if content is None else hashlib.sha256(content).hexdigest()
