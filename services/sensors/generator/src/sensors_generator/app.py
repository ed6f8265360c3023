"""The generator: takes every sensor's next reading at each tick into its buffer, from where Kafka gets it.

It leaves no tick out while it runs. A tick that can't be taken in time, since the process stood still or the
buffer is full, is taken later, with its own time.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from millrace_common import durable
from millrace_common.buffer import Buffer
from millrace_common.durable import DurableProducer
from millrace_common.http import HealthServer
from millrace_common.logs import fields
from sensors_contract.readings import encode, format_time
from sensors_generator.schedule import first_tick, next_tick
from sensors_generator.signals import readings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from millrace_common.forwarder import Client
    from sensors_generator.settings import Settings

log = logging.getLogger(__name__)
NAME = "sensors_generator"
GROUP = 1000  # readings that are taken at once, about, when several ticks are due
_SECOND = 1_000_000
_SAY_LATE_S = 5.0


def clients(settings: Settings) -> dict[str, Callable[[], Client]]:
    """Return what makes the generator's client."""
    return durable.clients(
        settings.kafka, [settings.topic], "sensors-generator", settings.linger_ms, settings.buffer
    )


class Generator:
    """One process's state. `run` is the main loop; everything outside comes in through the constructor."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        registry: CollectorRegistry,
        take: Callable[[list[tuple[bytes, bytes]]], bool],
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock` gives microseconds since 1970; `stop` ends the loop.

        `take` returns once the readings (key, value) are safe, or False when stopped first.
        """
        self._settings = settings
        self._stop = stop
        self._take = take
        self._clock = clock
        self._interval = settings.interval_us()
        self._next: int | None = None  # the first tick that isn't taken
        self._making_up = False
        self._readings = Counter(f"{NAME}_readings", "Readings that were taken.", registry=registry)
        self._made_up = Counter(
            f"{NAME}_late_ticks", "Ticks taken when the next one was due already.", registry=registry
        )
        self._first_tick = Gauge(
            f"{NAME}_first_tick_timestamp_seconds", "The first tick since the start.", registry=registry
        )
        self._last_tick = Gauge(
            f"{NAME}_last_tick_timestamp_seconds", "The last tick that was taken.", registry=registry
        )
        late = Gauge(f"{NAME}_late_seconds", "For how long the next tick has been due.", registry=registry)
        late.set_function(self.late)

    def late(self) -> float:
        """Return for how many seconds the next tick has been due."""
        return 0.0 if self._next is None else max(0, self._clock() - self._next) / _SECOND

    def check(self) -> str | None:
        """Health check: None, or why it is not well."""
        late = self.late()
        return None if late <= self._settings.healthy_within_s else f"the next tick is {late:.0f} s late"

    def run(self) -> None:
        """Take readings until stopped or until the limit."""
        values = {
            s: readings(self._settings.seed, s.sensor_id, s.type, self._settings.anomaly_share)
            for s in self._settings.all_sensors()
        }
        first, last, left = None, None, self._settings.limit
        for ticks in self._due(max(1, GROUP // len(values))):
            group = [
                encode(sensor.sensor_id, sensor.type, next(series), format_time(tick))
                for tick in ticks
                for sensor, series in values.items()
            ][:left]
            if not self._take(group):
                break
            first, last = ticks[0] if first is None else first, ticks[-1]
            self._first_tick.set(first / _SECOND)
            self._last_tick.set(last / _SECOND)
            self._readings.inc(len(group))
            if left is not None and (left := left - len(group)) == 0:
                break
        told = {
            name: None if tick is None else format_time(tick)
            for name, tick in (("first", first), ("last", last))
        }
        log.info(
            "took all ticks from the first to the last", extra=fields(**told, interval_us=self._interval)
        )

    def _due(self, most: int) -> Iterator[list[int]]:
        """Wait for ticks, and yield those that are due, in order and none left out; `most` at a time."""
        tick = self._next = first_tick(self._clock(), self._interval)
        while not self._stop.wait(max(0, tick - self._clock()) / _SECOND):
            now = self._clock()
            ticks = [
                tick + i * self._interval
                for i in range(min(max((now - tick) // self._interval, 0) + 1, most))
            ]
            self._tell_lateness(now - tick, len(ticks))
            yield ticks
            tick = self._next = next_tick(ticks[-1], self._clock(), self._interval)

    def _tell_lateness(self, late: int, ticks: int) -> None:
        """Count ticks that are made up for, and log when that begins and ends; `late` in microseconds."""
        if late >= self._interval:
            self._made_up.inc(ticks)
        if late / _SECOND >= _SAY_LATE_S and not self._making_up:
            self._making_up = True
            log.warning("making up for missed ticks", extra=fields(late_s=late / _SECOND))
        elif self._making_up and late < self._interval:
            self._making_up = False
            log.info("all missed ticks are made up for")


def run(
    settings: Settings,
    stop: threading.Event,
    clients_of: Callable[[Settings], dict[str, Callable[[], Client]]] = clients,
) -> int:
    """Run the whole service: HTTP server, sender and generator; return the exit code.

    It ends soon after `stop`, with or without Kafka: what isn't acknowledged stays in the buffer.
    """
    registry = CollectorRegistry()
    with Buffer(settings.buffer) as buffer:
        within = max(settings.healthy_within_s, 3 * settings.interval_us() / _SECOND)
        producer = DurableProducer(buffer, clients_of(settings), registry, NAME, within)
        generator = Generator(
            settings, stop, registry, lambda group: producer.put(settings.topic, group, stop)
        )
        with HealthServer(settings.http, registry) as server:
            producer.add_to(server)
            server.add_check("schedule", generator.check)
            log.info(
                "started",
                extra=fields(
                    sensors=len(settings.all_sensors()),
                    interval_us=settings.interval_us(),
                    http_port=server.port,
                ),
            )
            producer.start()
            try:
                generator.run()
                if settings.limit is not None:
                    producer.drain(stop)
            finally:
                producer.finish()
    return 0
