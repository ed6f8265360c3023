"""The generator: sends every sensor's next reading at each tick, through outages of the brokers."""

from __future__ import annotations

import gc
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from kafka import KafkaProducer  # type: ignore[import-untyped] # kafka-python has no type hints
from kafka.errors import KafkaError, KafkaTimeoutError  # type: ignore[import-untyped] # the same
from prometheus_client import CollectorRegistry, Counter

from millrace_common.http import HealthServer
from millrace_common.logs import fields
from sensors_generator.delivery import Delivery
from sensors_generator.messages import encode
from sensors_generator.reference import Rejection, judge
from sensors_generator.schedule import first_tick, format_time, from_micros, next_tick
from sensors_generator.signals import readings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from sensors_generator.settings import Settings

log = logging.getLogger(__name__)
RETRY_S = 2.0
FLUSH_S = 20.0
RECONNECT_AFTER = 100  # messages failed one after another: the client is beyond repair and made anew


class Producer(Protocol):
    """What the generator needs of a KafkaProducer."""

    def send(self, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future has add_callback and add_errback."""

    def flush(self, timeout: float) -> None:
        """Wait until nothing is pending; KafkaTimeoutError after `timeout` seconds."""

    def close(self, timeout: float) -> None:
        """End the client."""


def connect(settings: Settings) -> Producer:
    """Return an idempotent producer; KafkaError if no broker answers."""
    producer: Producer = KafkaProducer(
        **settings.kafka.client_arguments(),
        client_id="sensors-generator",
        acks="all",
        enable_idempotence=True,
        linger_ms=settings.linger_ms,
        delivery_timeout_ms=settings.delivery_timeout_s * 1000,
        max_block_ms=5000,  # then the loop looks whether it is to stop
        bootstrap_timeout_ms=10_000,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
    return producer


class Generator:
    """One process's state. `run` is the main loop; everything outside comes in through the constructor."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        registry: CollectorRegistry,
        connect_to: Callable[[Settings], Producer] = connect,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock` gives microseconds since 1970; `stop` ends the loop."""
        self._settings = settings
        self._stop = stop
        self._connect = connect_to
        self._clock = clock
        self._interval = settings.interval_us()
        self._checked: set[str] = set()
        self._producer: Producer | None = None
        self._skipped = Counter(
            "sensors_generator_skipped_ticks", "Ticks left out for lateness.", registry=registry
        )
        self.delivery = Delivery(registry)

    def check(self) -> str | None:
        """Health check: None, or why it is not well."""
        return self.delivery.silence(max(self._settings.healthy_within_s, 3 * self._interval / 1_000_000))

    def run(self) -> int:
        """Send until stopped or until the limit; return the exit code: 1 if any message was lost, else 0."""
        messages = self._messages()
        try:
            for key, value in messages:
                self._send(key, value)
                if self._stop.is_set():
                    break
        finally:
            self._finish()
        log.info("ended", extra=fields(produced=self.delivery.produced, failed=self.delivery.failed))
        return 1 if self.delivery.failed or self.delivery.pending else 0

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        settings = self._settings
        values = {
            s: readings(settings.seed, s.sensor_id, s.type, settings.anomaly_share)
            for s in settings.all_sensors()
        }
        left = settings.limit
        for tick in self._ticks():
            timestamp = format_time(tick)
            for sensor, series in values.items():
                key, value = encode(sensor.sensor_id, sensor.type, next(series), timestamp)
                self._check_first(sensor.type, value)
                yield key, value
                if left is not None:
                    left -= 1
                    if left == 0:
                        return

    def _ticks(self) -> Iterator[int]:
        tick = first_tick(self._clock(), self._interval)
        while not self._stop.wait(max(0, tick - self._clock()) / 1_000_000):
            if self.delivery.pending < self._settings.max_pending:
                yield tick
            else:
                self._skipped.inc()
            tick, skipped = next_tick(tick, self._clock(), self._interval, catch_up=self._settings.catch_up)
            self._skipped.inc(skipped)

    def _check_first(self, kind: str, value: bytes) -> None:
        """Hold the first message of each type against the contract: a mistake ends the process at once."""
        if kind in self._checked:
            return
        self._checked.add(kind)
        judged = judge(value, from_micros(self._clock()))
        if isinstance(judged, Rejection):
            message = f"made a message that the contract refuses ({judged.reason}): {value!r}"
            raise ValueError(message)  # noqa: TRY004 - a wrong value, not a wrong type

    def _send(self, key: bytes, value: bytes) -> None:
        """Hand one message over, waiting for a broker as long as it takes; left out only when stopped."""
        while not self._stop.is_set():
            producer = self._connected()
            if producer is None:
                return
            try:
                future = producer.send(self._settings.topic, value=value, key=key)
            except KafkaTimeoutError as error:
                log.warning("no broker takes messages, trying on", extra=fields(error=repr(error)))
                continue
            self.delivery.sent()
            future.add_callback(self.delivery.succeeded)
            future.add_errback(self.delivery.lost)
            return

    def _connected(self) -> Producer | None:
        """Return a working client, making it if need be; None when stopped first."""
        if self._producer is not None and self.delivery.failed_in_a_row >= RECONNECT_AFTER:
            log.error("too many messages failed, connecting anew")
            self.delivery.failed_in_a_row = 0
            self._close(self._producer, 1.0)
            self._producer = None
        while self._producer is None and not self._stop.is_set():
            try:
                self._producer = self._connect(self._settings)
                log.info("connected", extra=fields(kafka=repr(self._settings.kafka)))
            except KafkaError as error:
                log.warning("no connection to Kafka, trying again", extra=fields(error=repr(error)))
                gc.collect()  # a client that failed to start keeps its sockets until it is collected
                self._stop.wait(RETRY_S)
        return self._producer

    def _finish(self) -> None:
        if self._producer is not None:
            self._close(self._producer, FLUSH_S)
            self._producer = None
        if self.delivery.pending:
            log.error("ended with messages unacknowledged", extra=fields(pending=self.delivery.pending))

    @staticmethod
    def _close(producer: Producer, timeout: float) -> None:
        try:
            producer.flush(timeout=timeout)
        except KafkaError as error:
            log.warning("could not send what was pending", extra=fields(error=repr(error)))
        try:
            producer.close(timeout=1.0)
        except KafkaError as error:
            log.warning("could not close the client in order", extra=fields(error=repr(error)))


def run(
    settings: Settings, stop: threading.Event, connect_to: Callable[[Settings], Producer] = connect
) -> int:
    """Run the whole service: HTTP server and generator; return the exit code."""
    registry = CollectorRegistry()
    generator = Generator(settings, stop, registry, connect_to)
    with HealthServer(settings.http, registry) as server:
        server.add_check("kafka", generator.check)
        log.info(
            "started",
            extra=fields(
                sensors=len(settings.all_sensors()), interval_us=settings.interval_us(), http_port=server.port
            ),
        )
        return generator.run()
