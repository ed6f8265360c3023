"""A Kafka that loses answers, stalls and refuses, and its clients: in place of TopicClient."""
# ruff: noqa: D102, D107 - the methods are those of what they stand for

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka.errors import (  # type: ignore[import-untyped] # kafka-python has no type hints
    IllegalStateError,
    KafkaConnectionError,
    UnknownError,
)
from prometheus_client import CollectorRegistry

from millrace_common.buffer import Buffer, BufferSettings
from millrace_common.durable import Figures
from millrace_common.forwarder import Forwarder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOPIC = "readings"
LANES = 2


class Future:
    """What becomes of a message, for whoever asked to be told."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[object], None]] = []
        self._errbacks: list[Callable[[BaseException], None]] = []

    def add_callback(self, call: Callable[[object], None]) -> None:
        self._callbacks.append(call)

    def add_errback(self, call: Callable[[BaseException], None]) -> None:
        self._errbacks.append(call)

    def succeed(self) -> None:
        for call in self._callbacks:
            call(None)

    def fail(self, error: BaseException) -> None:
        for call in self._errbacks:
            call(error)


class StandIn:
    """One client: of each lane it has what is not answered, the oldest first."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self.abandoned = False
        self.lanes: dict[int, list[tuple[bytes, bytes, Future]]] = {lane: [] for lane in range(LANES)}
        self.stalled: set[int] = set()

    def lane(self, key: bytes) -> int:
        return key[0] % LANES

    def send(self, key: bytes, value: bytes, lane: int) -> Any:  # noqa: ANN401 - as the real one
        if self.abandoned:
            raise IllegalStateError
        assert lane == self.lane(key)
        future = Future()
        self.lanes[lane].append((key, value, future))
        return future

    def abandon(self) -> None:
        self.abandoned = True

    def deliver(self, lane: int, count: int = 1, *, answered: bool = True) -> None:
        """Append the lane's oldest messages to the topic; without an answer they stay the client's oldest."""
        if lane in self.stalled:
            return
        for key, value, future in self.lanes[lane][:count]:
            if value in self.kafka.refuses:
                self.fail(lane, self.kafka.refuses[value])
                return
            self.kafka.log.append((key, value))
            if not answered:
                return
            self.lanes[lane].pop(0)
            future.succeed()

    def fail(self, lane: int, error: BaseException) -> None:
        """Fail the lane's oldest message; by a final error all of them, as kafka-python does, any first."""
        everything = [sent for queue in self.lanes.values() for sent in queue]
        final = not getattr(error, "retriable", False)
        for _, _, future in reversed(everything) if final else self.lanes[lane][:1]:
            future.fail(error)

    def everything(self) -> None:
        """Deliver all that the client has."""
        for lane in self.lanes:
            while self.lanes[lane] and lane not in self.stalled and not self.abandoned:
                self.deliver(lane)


class Kafka:
    """The topic, whoever writes to it, and what the brokers do."""

    def __init__(self) -> None:
        self.log: list[tuple[bytes, bytes]] = []
        self.clients: list[StandIn] = []
        self.refuses: dict[bytes, BaseException] = {}
        self.down: BaseException | None = None

    def connect(self) -> StandIn:
        if self.down is not None:
            raise self.down
        self.clients.append(StandIn(self))
        return self.clients[-1]

    @property
    def client(self) -> StandIn:
        return self.clients[-1]


class Bench:
    """A forwarder over a real buffer, with a clock of its own."""

    def __init__(self, path: Path, kafka: Kafka | None = None, **limits: Any) -> None:  # noqa: ANN401 - any setting
        self.now = 1000.0
        self.kafka = kafka or Kafka()
        self.registry = CollectorRegistry()
        self.buffer = Buffer(BufferSettings(str(path), synchronous="NORMAL", **limits))
        self.forwarder = Forwarder(
            TOPIC,
            self.buffer,
            self.kafka.connect,
            Figures(self.registry, "test"),
            lambda: self.now,
            lambda work: work(),
        )

    def steps(self, count: int = 3, seconds: float = 0.0) -> None:
        """Let the loop turn, the first time after `seconds`."""
        self.now += seconds
        for _ in range(count):
            self.forwarder.step()

    def settle(self) -> None:
        """Let a Kafka that is well again have all that waits."""
        for _ in range(3000):
            if not self.buffer.waiting:
                return
            self.steps(1, 0.25)
            if self.kafka.clients:
                self.kafka.client.everything()
        message = f"{self.buffer.waiting} messages are stuck"
        raise AssertionError(message)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"test_{name}", labels)


def first_times(log: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Return for each key its values, each where it stands for the first time."""
    found: dict[bytes, list[bytes]] = {}
    for key, value in dict.fromkeys(log):
        found.setdefault(key, []).append(value)
    return found


TRANSIENT = KafkaConnectionError("gone")
FATAL = UnknownError("whatever")
