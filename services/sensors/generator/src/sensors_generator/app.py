"""The generator: sends every sensor's next reading at each tick, through outages of the brokers."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter

from millrace_common import producer
from millrace_common.delivery import Delivery
from millrace_common.http import HealthServer
from millrace_common.logs import fields
from millrace_common.producer import Sender
from sensors_contract.readings import encode, format_time
from sensors_generator.schedule import first_tick, next_tick
from sensors_generator.signals import readings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from millrace_common.producer import Producer
    from sensors_generator.settings import Settings

log = logging.getLogger(__name__)
NAME = "sensors_generator"


def connect(settings: Settings) -> Producer:
    """Return a client for the generator; KafkaError if no broker answers."""
    return producer.connect(
        settings.kafka, "sensors-generator", settings.linger_ms, settings.delivery_timeout_s
    )


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
        self._clock = clock
        self._interval = settings.interval_us()
        self._skipped = Counter(f"{NAME}_skipped_ticks", "Ticks left out for lateness.", registry=registry)
        self.delivery = Delivery(registry, NAME)
        self._sender = Sender(settings.topic, self.delivery, stop, lambda: connect_to(settings))

    def check(self) -> str | None:
        """Health check: None, or why it is not well."""
        return self.delivery.silence(max(self._settings.healthy_within_s, 3 * self._interval / 1_000_000))

    def run(self) -> int:
        """Send until stopped or until the limit; return the exit code: 1 if any message was lost, else 0."""
        messages = self._messages()
        try:
            for key, value in messages:
                self._sender.send(key, value)
                if self._stop.is_set():
                    break
        finally:
            self._sender.finish()
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
                yield encode(sensor.sensor_id, sensor.type, next(series), timestamp)
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
