"""The relay's loop: take, publish, wait for every acknowledgement, only then delete.

Between the acknowledgement and the delete a crash publishes rows again: at least once. Consumers tell copies
by the key (rejects) or by the source coordinates in the value (anomalies).
"""

from __future__ import annotations

import gc
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from millrace_common.logs import fields

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from outbox_relay.outbox import Row
    from outbox_relay.settings import Settings

log = logging.getLogger(__name__)
RETRY_S = 2.0
_AGE_EVERY_S = 5.0


class Producer(Protocol):
    """What the relay needs of a KafkaProducer."""

    def send(self, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future's get(timeout) raises what went wrong."""

    def close(self, timeout: float) -> None:
        """End the client."""


class Source(Protocol):
    """What the relay needs of an outbox."""

    def take(self, rows: int, size: int) -> list[Row]:
        """Lock and return the oldest rows."""

    def delete(self, rows: list[Row]) -> None:
        """Delete and commit."""

    def release(self) -> None:
        """Give the rows back."""

    def oldest_age(self) -> float:
        """Return the age of the oldest row in seconds."""

    def close(self) -> None:
        """End the connection."""


class Relay:
    """One process's state; both connections are made when first needed and again after any error."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything outside comes in here, for the tests' fakes
        self,
        settings: Settings,
        stop: threading.Event,
        registry: CollectorRegistry,
        connect_source: Callable[[], Source],
        connect_producer: Callable[[], Producer],
        recoverable: tuple[type[Exception], ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect nothing yet: a `recoverable` error gives up a round, any other ends the process.

        `clock` gives seconds and never goes back; `stop` ends the loop.
        """
        self._settings = settings
        self._stop = stop
        self._connect_source = connect_source
        self._connect_producer = connect_producer
        self._recoverable = recoverable
        self._clock = clock
        self._source: Source | None = None
        self._producer: Producer | None = None
        self._last_success = clock()
        self._last_age = float("-inf")
        self._problem = ""
        name = f"{settings.name.replace('-', '_')}_"
        self.published = Counter(
            f"{name}published", "Rows published and deleted.", ["topic"], registry=registry
        )
        self.failed = Counter(
            f"{name}failed_rounds", "Rounds given up; their rows are tried again.", registry=registry
        )
        self.age = Gauge(
            f"{name}oldest_row_age_seconds", "Age of the oldest row of the outbox.", registry=registry
        )

    def check(self) -> str | None:
        """Health check: None, or why it is not well."""
        quiet = self._clock() - self._last_success
        if quiet <= max(self._settings.healthy_within_s, self._settings.poll_ms / 1000 * 3):
            return None
        return (
            f"no round succeeded for {quiet:.0f} s{f'; last error: {self._problem}' if self._problem else ''}"
        )

    def run(self) -> None:
        """Relay until stopped; after an error both sides are connected anew."""
        try:
            while not self._stop.is_set():
                try:
                    found = self.round()
                except self._recoverable as error:
                    self.failed.inc()
                    self._problem = f"{type(error).__name__}: {error}".strip()
                    log.warning("round given up, connecting anew", extra=fields(error=self._problem))
                    self._disconnect()
                    gc.collect()  # a client that failed to start keeps its sockets until then
                    self._stop.wait(RETRY_S)
                    continue
                self._last_success, self._problem = self._clock(), ""
                if not found:
                    self._stop.wait(self._settings.poll_ms / 1000)
        finally:
            self._disconnect()

    def round(self) -> int:
        """Publish one batch and delete what was acknowledged; return how many rows that were.

        Any exception leaves the rows that weren't acknowledged in place.
        """
        if self._source is None:
            self._source = self._connect_source()
            log.info("connected to the outbox", extra=fields(postgres=repr(self._settings.postgres)))
        self._measure(self._source)
        rows = self._source.take(self._settings.batch_rows, self._settings.batch_bytes)
        acknowledged, error = self._publish(rows) if rows else ([], None)
        if acknowledged:
            self._source.delete(acknowledged)
        else:
            self._source.release()
        for row in acknowledged:
            self.published.labels(row.topic).inc()
        if error is not None:
            raise error
        return len(acknowledged)

    def _publish(self, rows: list[Row]) -> tuple[list[Row], Exception | None]:
        """Return what Kafka acknowledged, and the first error: one bad row must not hold back the rest."""
        if self._producer is None:
            self._producer = self._connect_producer()
            log.info("connected to Kafka", extra=fields(kafka=repr(self._settings.kafka)))
        deadline = self._clock() + self._settings.ack_timeout_s
        sent: list[tuple[Row, Any]] = []
        acknowledged = []
        errors: list[Exception] = []
        for row in rows:
            if errors and self._clock() > deadline:
                break
            try:
                sent.append(
                    (row, self._producer.send(row.topic, value=row.value.encode(), key=row.key.encode()))
                )
            except self._recoverable as error:
                errors.append(error)
        for row, future in sent:
            try:
                future.get(timeout=max(0.001, deadline - self._clock()))
                acknowledged.append(row)
            except self._recoverable as error:
                errors.append(error)
        return acknowledged, errors[0] if errors else None

    def _measure(self, source: Source) -> None:
        if self._clock() - self._last_age >= _AGE_EVERY_S:
            self.age.set(source.oldest_age())
            self._last_age = self._clock()

    def _disconnect(self) -> None:
        source, producer = self._source, self._producer
        self._source = self._producer = None
        try:
            if source is not None:
                source.close()
            if producer is not None:
                producer.close(timeout=1.0)
        except self._recoverable as error:
            log.warning("a connection closed with an error", extra=fields(error=repr(error)))
