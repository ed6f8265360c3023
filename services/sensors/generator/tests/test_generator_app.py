"""The generator's loop with a fake Kafka client and a fake clock: schedule, outages, failures, stop."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kafka.errors import KafkaConnectionError, KafkaTimeoutError  # type: ignore[import-untyped] # kafka-python has no type hints
from prometheus_client import CollectorRegistry
from sensors_oracle.reference import Reading, judge

from millrace_common import service
from millrace_common.config import parse_config
from millrace_common.producer import RECONNECT_AFTER
from sensors_contract.readings import from_micros
from sensors_generator import app, cli
from sensors_generator.app import Generator
from sensors_generator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Future:
    """Acknowledged, failed, or left pending, as the fake producer decides."""

    def __init__(self, error: Exception | None, *, done: bool) -> None:
        self._error, self._done = error, done

    def add_callback(self, call: Callable[[object], None]) -> None:
        if self._done and self._error is None:
            call(None)

    def add_errback(self, call: Callable[[BaseException], None]) -> None:
        if self._done and self._error is not None:
            call(self._error)


class FakeProducer:
    """Keeps what is sent; `plan` gives an error (or "block", "pend") for the n-th call of send."""

    def __init__(self, plan: dict[int, Exception | str] | None = None) -> None:
        self.plan = plan or {}
        self.calls = 0
        self.sent: list[tuple[str, bytes, bytes]] = []
        self.flushed = self.closed = False

    def send(self, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401 - a fake future
        planned = self.plan.get(self.calls)
        self.calls += 1
        if planned == "block":
            raise KafkaTimeoutError
        self.sent.append((topic, value, key))
        return Future(planned if isinstance(planned, Exception) else None, done=planned != "pend")

    def flush(self, timeout: float) -> None:
        assert timeout > 0
        self.flushed = True

    def close(self, timeout: float) -> None:
        assert timeout > 0
        self.closed = True


class Clock(threading.Event):
    """A stop event whose waiting moves the clock instead of taking time; microseconds."""

    def __init__(self, jumps: dict[int, int] | None = None) -> None:
        super().__init__()
        self.now = 1_795_287_600_000_000
        self.jumps = jumps or {}
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += round(timeout * 1_000_000) + self.jumps.get(self.waits, 0)
        self.waits += 1
        assert self.waits < 10_000, "the loop doesn't end"
        return self.is_set()


def make(producer: FakeProducer | Callable[[], FakeProducer], clock: Clock, **changes: object) -> Generator:
    kafka = {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"}
    settings = parse_config({"kafka": kafka, "http": {"port": 0}} | changes, Settings)
    made: Callable[[], FakeProducer] = (lambda: producer) if isinstance(producer, FakeProducer) else producer
    return Generator(settings, clock, CollectorRegistry(), lambda _: made(), lambda: clock.now)


def times(producer: FakeProducer) -> list[str]:
    return [json.loads(value)["timestamp"] for _, value, _ in producer.sent]


def test_sends_each_sensor_at_each_tick_until_the_limit() -> None:
    producer = FakeProducer()
    assert make(producer, Clock(), limit=7).run() == 0
    assert [key for _, _, key in producer.sent[:3]] == [b"temperature-1", b"pressure-1", b"voltage-1"]
    assert {topic for topic, _, _ in producer.sent} == {"sensors.measurements"}
    assert times(producer) == [
        *["2026-11-21T19:00:00.200Z"] * 3,
        *["2026-11-21T19:00:00.400Z"] * 3,
        "2026-11-21T19:00:00.600Z",
    ]
    assert producer.flushed
    assert producer.closed


def test_who_is_late_leaves_out_and_never_bursts() -> None:
    producer = FakeProducer()
    make(producer, Clock({1: 1_050_000}), limit=3, count=1).run()
    assert [text[17:23] for text in times(producer)] == ["00.200", "00.400", "01.400"]


def test_catch_up_sends_what_was_missed() -> None:
    producer = FakeProducer()
    make(producer, Clock({1: 1_050_000}), limit=4, count=1, catch_up=True).run()
    assert [text[17:23] for text in times(producer)] == ["00.200", "00.400", "00.600", "00.800"]


def test_a_blocked_message_is_tried_again_and_not_lost() -> None:
    producer = FakeProducer({1: "block", 2: "block"})
    generator = make(producer, Clock(), limit=3)
    assert generator.run() == 0
    assert [key for _, _, key in producer.sent] == [b"temperature-1", b"pressure-1", b"voltage-1"]
    assert generator.delivery.produced == generator.delivery.acknowledged == 3


def test_waits_for_the_first_broker() -> None:
    producer = FakeProducer()
    answers = [KafkaConnectionError(), KafkaConnectionError()]

    def connect() -> FakeProducer:
        if answers:
            raise answers.pop()
        return producer

    assert make(connect, Clock(), limit=3).run() == 0
    assert len(producer.sent) == 3


def test_failures_are_counted_and_told_by_the_exit_code() -> None:
    generator = make(FakeProducer({1: KafkaConnectionError()}), Clock(), limit=3)
    assert generator.run() == 1
    assert (generator.delivery.acknowledged, generator.delivery.failed) == (2, 1)


def test_a_broken_client_is_made_anew() -> None:
    broken = FakeProducer({n: KafkaConnectionError() for n in range(1000)})
    working = FakeProducer()
    made = [working, broken]
    make(made.pop, Clock(), limit=200, count=1).run()
    assert len(broken.sent) == RECONNECT_AFTER
    assert broken.closed
    assert len(working.sent) == 200 - RECONNECT_AFTER


def test_too_much_pending_leaves_ticks_out() -> None:
    clock = Clock()
    producer = FakeProducer(dict.fromkeys(range(1000), "pend"))
    generator = make(producer, clock, count=1, max_pending=5)
    clock.jumps = {}
    stop_after(clock, 30)
    generator.run()
    assert len(producer.sent) == 5


def stop_after(clock: Clock, waits: int) -> None:
    original = clock.wait

    def wait(timeout: float | None = None) -> bool:
        if clock.waits >= waits:
            clock.set()
        return original(timeout)

    clock.wait = wait  # type: ignore[method-assign] # the fake's own hook


def test_stop_flushes() -> None:
    clock, producer = Clock(), FakeProducer()
    generator = make(producer, clock)
    stop_after(clock, 4)
    assert generator.run() == 0
    assert len(producer.sent) == 12
    assert producer.flushed


@pytest.mark.parametrize("interval_ms", [200, 1.001])
def test_the_oracle_takes_whatever_is_sent_for_a_reading(interval_ms: float) -> None:
    producer, clock = FakeProducer(), Clock()
    make(producer, clock, count=6, limit=600, anomaly_share=0.5, interval_ms=interval_ms).run()
    judged = [judge(value, from_micros(clock.now)) for _, value, _ in producer.sent]
    assert [one.sensor_id for one in judged if isinstance(one, Reading)] == [
        key.decode() for _, _, key in producer.sent
    ]
    assert len({one.identity for one in judged if isinstance(one, Reading)}) == 600


def test_the_service_runs_to_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    producer = FakeProducer()
    monkeypatch.setattr(cli, "run", partial(app.run, connect_to=lambda _: producer))
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    monkeypatch.setattr(service, "setup_logging", lambda _: None)
    path = tmp_path / "config.json"
    kafka = {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"}
    path.write_text(json.dumps({"kafka": kafka, "http": {"port": 0}, "limit": 6, "interval_ms": 1}))
    assert cli.main(["--config", str(path), "--check"]) == 0
    assert cli.main(["--config", str(path)]) == 0
    assert len(producer.sent) == 6


def test_wrong_settings_end_with_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"http": {"port": 99999}}')
    assert cli.main(["--config", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: kafka: is missing; it has no default",
        f"{path}: http.port: expected at most 65535, got 99999",
    ]
