"""A fake Kafka client, a fake clock and a small table, which the replay's tests run it with."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kafka.errors import KafkaTimeoutError  # type: ignore[import-untyped] # kafka-python has no type hints
from prometheus_client import CollectorRegistry

from millrace_common.config import parse_config
from sensors_replay.app import Replay
from sensors_replay.settings import Settings
from sensors_replay.table import Observation, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1_795_287_600_000_000  # 2026-11-21T19:00:00Z
SECOND = 1_000_000
HOURS = 7
# Hour i has the value i at one station, at the other one every second hour; hour 3 has none at all.
TABLE = Table(
    datetime(2013, 1, 1, 6, tzinfo=UTC),
    tuple(
        tuple(Observation(name, "temperature", float(i)) for name in ("ewr", "jfk")[: 1 + i % 2] if i != 3)
        for i in range(HOURS)
    ),
)


class Crash(BaseException):
    """The process is gone, at once."""


class Machine(threading.Event):
    """Clock and stop event in one: waiting moves the clock; microseconds. It may crash at its n-th step."""

    def __init__(self, now: int = START, crash_at: int | None = None, stop_at: int | None = None) -> None:
        super().__init__()
        self.now, self.steps, self.crash_at, self.stop_at = now, 0, crash_at, stop_at

    def step(self) -> None:
        self.steps += 1
        assert self.steps < 50_000, "the loop doesn't end"
        if self.steps == self.crash_at:
            raise Crash
        if self.steps == self.stop_at:
            self.set()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.step()
        self.now += round(timeout * SECOND)
        return self.is_set()


class Broker:
    """A producer that keeps what is sent; `plan` gives what becomes of the n-th message instead."""

    def __init__(self, machine: Machine, plan: dict[int, Exception] | None = None) -> None:
        self.machine, self.plan = machine, plan or {}
        self.calls = self.closed = 0
        self.sent: list[tuple[bytes, bytes]] = []
        self.error: Exception | None = None

    def send(self, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401 - a fake future
        assert topic == "sensors.measurements"
        self.machine.step()
        self.error = self.plan.get(self.calls)
        self.calls += 1
        if isinstance(self.error, KafkaTimeoutError):
            raise self.error
        if self.error is None:
            self.sent.append((key, value))
        return self

    def add_callback(self, call: Callable[[object], None]) -> None:
        if self.error is None:
            call(None)

    def add_errback(self, call: Callable[[BaseException], None]) -> None:
        if self.error is not None:
            call(self.error)

    def flush(self, timeout: float) -> None:
        assert timeout > 0

    def close(self, timeout: float) -> None:
        assert timeout > 0
        self.closed += 1


def make(
    folder: Path,
    machine: Machine,
    broker: Broker,
    registry: CollectorRegistry | None = None,
    **changes: object,
) -> Replay:
    kafka = {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"}
    given_ = {"kafka": kafka, "http": {"port": 0}, "table": "", "state": str(folder / "progress.json")}
    parsed = parse_config(given_ | changes, Settings)
    return Replay(
        parsed, TABLE, machine, registry or CollectorRegistry(), lambda _: broker, lambda: machine.now
    )


def replayed(
    folder: Path,
    hours: int,
    machine: Machine | None = None,
    **changes: Any,  # noqa: ANN401 - any setting
) -> list[tuple[bytes, bytes]]:
    """Return what one run up to hour number `hours` sends."""
    machine = machine or Machine()
    broker = Broker(machine)
    make(folder, machine, broker, limit_hours=hours, **changes).run()
    return broker.sent


def times_and_values(sent: list[tuple[bytes, bytes]]) -> list[tuple[str, float]]:
    read = [json.loads(value) for _, value in sent]
    return [(message["timestamp"][11:23], message["value"]) for message in read]
