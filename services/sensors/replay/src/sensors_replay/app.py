"""The replay: sends each hour of the table when it is due, and goes on after any stop where it was.

Before a batch of hours is sent, the state file says so, and by which times; only when every message is
acknowledged does the next one begin. So after a crash the same messages are sent again (duplicates, which
are counted and not stored), and none is left out.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from millrace_common import client
from millrace_common.delivery import Delivery
from millrace_common.http import HealthServer
from millrace_common.logs import fields
from millrace_common.producer import FLUSH_S, RETRY_S, Sender
from sensors_replay.store import Store
from sensors_replay.table import read_table
from sensors_replay.timeline import Progress, Timeline, go_on, messages, next_second

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from millrace_common.producer import Producer
    from sensors_replay.settings import Settings
    from sensors_replay.table import Table

log = logging.getLogger(__name__)
NAME = "sensors_replay"
BATCH_HOURS = 500  # at most; several only where the speed is high or something was missed
_LOOK_S = 60.0  # the longest sleep, since the clock may be set meanwhile
_SECOND = 1_000_000


def connect(settings: Settings) -> Producer:
    """Return a client for the replay; KafkaError if no broker answers."""
    return client.connect(settings.kafka, "sensors-replay", settings.linger_ms, settings.delivery_timeout_s)


class Replay:
    """One process's state. `run` is the main loop; everything outside comes in through the constructor."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything outside comes in here, for the tests' fakes
        self,
        settings: Settings,
        table: Table,
        stop: threading.Event,
        registry: CollectorRegistry,
        connect_to: Callable[[Settings], Producer] = connect,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock` gives microseconds since 1970; `stop` ends the loop."""
        self._settings = settings
        self._table = table
        self._stop = stop
        self._clock = clock
        self._interval = settings.interval_us()
        self._max_lag = round(settings.max_lag_s * _SECOND)
        self._store = Store(Path(settings.state))
        self._next: tuple[int, int] | None = None  # hour and time of the first that isn't acknowledged
        self._moved = Counter(f"{NAME}_moved", "Times that the table went on from now.", registry=registry)
        self._hour = Gauge(
            f"{NAME}_table_hour", "The next hour, counted in the table from 0.", registry=registry
        )
        late = Gauge(
            f"{NAME}_late_seconds", "How late the next hour is, below 0 when not.", registry=registry
        )
        late.set_function(self.late)
        self.delivery = Delivery(registry, NAME)
        self._sender = Sender(settings.topic, self.delivery, stop, lambda: connect_to(settings))

    def late(self) -> float:
        """Return for how many seconds the next hour has been due; less than 0 when it isn't yet."""
        return 0.0 if self._next is None else (self._clock() - self._next[1]) / _SECOND

    def check(self) -> str | None:
        """Health check: None, or why it is not well."""
        late = self.late()
        if late > self._settings.healthy_within_s:
            counts = f"{self.delivery.pending} pending, {self.delivery.failed} failed"
            return f"the next hour is {late:.0f} s late ({counts})"
        if -late > self._interval / _SECOND + self._settings.healthy_within_s:
            return f"the clock was set back: the next hour is due in {-late:.0f} s"
        return None

    def run(self) -> int:
        """Replay until stopped or until the limit; return the exit code 0, as the state loses nothing."""
        try:
            self._run()
        finally:
            self._sender.finish()
        log.info("ended", extra=fields(produced=self.delivery.produced, failed=self.delivery.failed))
        return 0

    def _run(self) -> None:
        done = self._store.load()
        if done is None:
            done = Progress(Timeline(0, next_second(self._clock()), self._interval), 0, 0)
        elif done.first < done.until:
            log.info("sending the last batch again", extra=fields(first=done.first, until=done.until))
            if not self._deliver(done):
                return
        while (batch := self._batch(done)) is not None:
            self._store.save(batch)
            if not self._deliver(batch):
                return
            done = batch
        if done.until:
            self._store.save(dataclasses.replace(done, first=done.until))

    def _batch(self, done: Progress) -> Progress | None:
        """Wait until hours after `done` are due and return these; None when stopped first or at the limit."""
        hour, limit = done.until, self._settings.limit_hours
        if limit is not None and hour >= limit:
            return None
        timeline = self._timeline(done.timeline, hour)
        while not self._stop.is_set():
            now = self._clock()
            if now < timeline.at(hour):
                self._stop.wait(min((timeline.at(hour) - now) / _SECOND, _LOOK_S))
                continue
            if (later := self._timeline(timeline, hour)) != timeline:
                timeline = later
                continue
            until = min(max(timeline.due(now), hour + 1), hour + BATCH_HOURS)
            return Progress(timeline, hour, until if limit is None else min(until, limit))
        return None

    def _timeline(self, timeline: Timeline, hour: int) -> Timeline:
        """Return by which timeline `hour` is sent, and remember when that is."""
        chosen = go_on(timeline, hour, self._interval, self._clock(), self._max_lag)
        if chosen != timeline:
            self._moved.inc()
            log.warning(
                "the table goes on from now",
                extra=fields(hour=hour, would_be=timeline.at(hour), now=chosen.at(hour)),
            )
        self._next = (hour, chosen.at(hour))
        self._hour.set(hour % len(self._table.hours))
        return chosen

    def _deliver(self, batch: Progress) -> bool:
        """Send until every message of the batch is acknowledged; False when stopped first."""
        self._next = (batch.first, batch.timeline.at(batch.first))
        content = list(messages(self._table, self._settings.prefix, batch))
        while True:
            failed = self.delivery.failed
            if not all(self._sender.send(key, value) for key, value in content):
                return False
            while not self.delivery.settled(1.0):
                self._sender.give_up_if_stalled()
                if self._stop.is_set() and not self.delivery.settled(FLUSH_S):
                    return False
            if self.delivery.failed == failed:
                return True
            log.warning("messages of a batch failed, sending it again", extra=fields(first=batch.first))
            self._sender.disconnect(1.0)
            if self._stop.wait(RETRY_S):
                return False


def run(
    settings: Settings, stop: threading.Event, connect_to: Callable[[Settings], Producer] = connect
) -> int:
    """Run the whole service: HTTP server and replay; return the exit code."""
    registry = CollectorRegistry()
    table = read_table(Path(settings.table))
    replay = Replay(settings, table, stop, registry, connect_to)
    with HealthServer(settings.http, registry) as server:
        server.add_check("replay", replay.check)
        log.info(
            "started",
            extra=fields(hours=len(table.hours), interval_us=settings.interval_us(), http_port=server.port),
        )
        return replay.run()
