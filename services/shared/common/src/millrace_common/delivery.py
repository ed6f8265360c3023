"""Counts what becomes of messages after they were handed to the Kafka client."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from millrace_common.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
_LOG_EVERY = 10.0  # seconds between two log lines about failed messages: an outage must not flood the journal


class Delivery:
    """Acknowledged, failed and pending messages of one process; its methods may be called from any thread."""

    def __init__(
        self, registry: CollectorRegistry, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Register the metrics at `registry`, called `name`_produced and so on.

        `clock` gives seconds and never goes back.
        """
        self._clock = clock
        self._lock = threading.Condition()
        self._last_log = float("-inf")
        self._unlogged = 0
        self.produced = 0
        self.acknowledged = 0
        self.failed = 0
        self._produced = Counter(
            f"{name}_produced", "Messages handed to the Kafka client.", registry=registry
        )
        self._acknowledged = Counter(
            f"{name}_acknowledged", "Messages that Kafka acknowledged.", registry=registry
        )
        self._failed = Counter(f"{name}_failed", "Messages that could not be delivered.", registry=registry)
        self._ack_time = Gauge(
            f"{name}_last_acknowledgement_timestamp_seconds",
            "Time of the last acknowledgement.",
            registry=registry,
        )
        pending = Gauge(f"{name}_pending", "Messages that wait for their acknowledgement.", registry=registry)
        pending.set_function(lambda: self.pending)

    @property
    def pending(self) -> int:
        """Messages that are neither acknowledged nor failed."""
        with self._lock:
            return self._waiting()

    def settled(self, timeout: float) -> bool:
        """Wait until no message is pending; False if some still are after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: self._waiting() == 0, timeout)

    def sent(self) -> None:
        """Count a message that was handed to the client."""
        with self._lock:
            self.produced += 1
        self._produced.inc()

    def succeeded(self, _metadata: object = None) -> None:
        """Count an acknowledgement."""
        with self._lock:
            self.acknowledged += 1
            self._lock.notify_all()
        self._acknowledged.inc()
        self._ack_time.set_to_current_time()

    def lost(self, error: BaseException) -> None:
        """Count a message that could not be delivered, and log it, at most one line in ten seconds."""
        self._failed.inc()
        with self._lock:
            self.failed += 1
            self._unlogged += 1
            self._lock.notify_all()
            now = self._clock()
            if now - self._last_log < _LOG_EVERY:
                return
            count, self._unlogged, self._last_log = self._unlogged, 0, now
        log.error("messages were not delivered", extra=fields(count=count, error=repr(error)))

    def _waiting(self) -> int:
        return self.produced - self.acknowledged - self.failed
