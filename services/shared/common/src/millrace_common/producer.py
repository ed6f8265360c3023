"""Sending to Kafka for who can send again what failed. Needs kafka-python, as services that send do."""

from __future__ import annotations

import gc
import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from kafka.errors import KafkaError, KafkaTimeoutError  # type: ignore[import-untyped] # kafka-python has no type hints

from millrace_common.logs import fields
from millrace_common.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from millrace_common.delivery import Delivery

log = logging.getLogger(__name__)
RETRY_S = 2.0
FLUSH_S = 5.0  # at a stop; what is left is sent again by the next start
GIVE_UP_S = 0.1


class Producer(Protocol):
    """What is needed of a Connection."""

    def send(self, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future has add_callback and add_errback."""

    def flush(self, timeout: float) -> None:
        """Wait until nothing is pending; KafkaTimeoutError after `timeout` seconds."""

    def close(self, timeout: float) -> None:
        """End the client; what is pending fails."""


class Sender:
    """A connection to one topic, made when first needed, and anew when some key makes no progress."""

    def __init__(
        self,
        topic: str,
        delivery: Delivery,
        stop: threading.Event,
        connect_to: Callable[[], Producer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect nothing yet: `delivery` counts the messages, `stop` ends all waits, `clock` has seconds."""
        self._topic = topic
        self._delivery = delivery
        self._stop = stop
        self._connect = connect_to
        self._clock = clock
        self._producer: Producer | None = None
        self._lock = threading.Lock()  # of the watch: the client's thread tells it of acknowledgements
        self._watch: Watch[bytes] = Watch()

    def send(self, key: bytes, value: bytes) -> bool:
        """Hand one message over, waiting for a broker as long as it takes; False when stopped first."""
        while not self._stop.is_set():
            producer = self._connected()
            if producer is None:
                return False
            try:
                future = producer.send(self._topic, value=value, key=key)
            except KafkaTimeoutError as error:
                log.warning("no broker takes messages, trying on", extra=fields(error=repr(error)))
                continue
            self._delivery.sent()
            with self._lock:
                self._watch.handed(key, self._clock())
            future.add_callback(partial(self._answered, key))
            future.add_callback(self._delivery.succeeded)
            future.add_errback(self._delivery.lost)
            return True
        return False

    def give_up_if_stalled(self) -> bool:
        """Part with a client that makes no progress with some key: what is pending fails; tell if so."""
        with self._lock:
            keys = self._watch.stalled(self._clock())
        if not keys:
            return False
        log.error(
            "messages make no progress, connecting anew", extra=fields(keys=[repr(key) for key in keys[:5]])
        )
        self.disconnect(GIVE_UP_S)
        return True

    def disconnect(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for what is pending and end the client; send() makes another one."""
        producer, self._producer = self._producer, None
        with self._lock:
            self._watch.restarted(self._clock())
        if producer is None:
            return
        try:
            producer.flush(timeout=timeout)
        except KafkaError as error:
            log.warning("could not send what was pending", extra=fields(error=repr(error)))
        producer.close(timeout=GIVE_UP_S)

    def finish(self) -> None:
        """Send what is pending, end the client and log what stayed unacknowledged."""
        self.disconnect(FLUSH_S)
        if self._delivery.pending:
            log.error("ended with messages unacknowledged", extra=fields(pending=self._delivery.pending))

    def _answered(self, key: bytes, _metadata: object) -> None:
        with self._lock:
            self._watch.answered(key, self._clock())

    def _connected(self) -> Producer | None:
        """Return a working client, making it if need be; None when stopped first."""
        self.give_up_if_stalled()
        while self._producer is None and not self._stop.is_set():
            try:
                self._producer = self._connect()
                log.info("connected", extra=fields(topic=self._topic))
            except KafkaError as error:
                log.warning("no connection to Kafka, trying again", extra=fields(error=repr(error)))
                gc.collect()  # a client that failed to start keeps its sockets until it is collected
                self._stop.wait(RETRY_S)
        return self._producer
