"""Sending to Kafka through outages of the brokers. Needs kafka-python, which services that send depend on."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any, Protocol

from kafka import KafkaProducer  # type: ignore[import-untyped] # kafka-python has no type hints
from kafka.errors import KafkaError, KafkaTimeoutError  # type: ignore[import-untyped] # the same

from millrace_common.logs import fields

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from millrace_common.delivery import Delivery
    from millrace_common.kafka import KafkaSettings

log = logging.getLogger(__name__)
RETRY_S = 2.0
FLUSH_S = 20.0
RECONNECT_AFTER = 100  # messages failed one after another: the client is beyond repair and made anew


class Producer(Protocol):
    """What is needed of a KafkaProducer."""

    def send(self, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future has add_callback and add_errback."""

    def flush(self, timeout: float) -> None:
        """Wait until nothing is pending; KafkaTimeoutError after `timeout` seconds."""

    def close(self, timeout: float) -> None:
        """End the client."""


def connect(kafka: KafkaSettings, client_id: str, linger_ms: int, delivery_timeout_s: float) -> Producer:
    """Return an idempotent producer whose messages all in-sync replicas acknowledge.

    A message that has no acknowledgement after `delivery_timeout_s` fails. KafkaError if no broker answers.
    """
    producer: Producer = KafkaProducer(
        **kafka.client_arguments(),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=linger_ms,
        delivery_timeout_ms=delivery_timeout_s * 1000,
        max_block_ms=5000,  # then the loop looks whether it is to stop
        bootstrap_timeout_ms=10_000,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
    return producer


class Sender:
    """A connection to one topic, made when first needed and anew when it is beyond repair."""

    def __init__(
        self, topic: str, delivery: Delivery, stop: threading.Event, connect_to: Callable[[], Producer]
    ) -> None:
        """Connect nothing yet; `delivery` counts the messages, `stop` ends all waiting."""
        self._topic = topic
        self._delivery = delivery
        self._stop = stop
        self._connect = connect_to
        self._producer: Producer | None = None

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
            future.add_callback(self._delivery.succeeded)
            future.add_errback(self._delivery.lost)
            return True
        return False

    def disconnect(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for what is pending and end the client; send() makes another one."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            producer.flush(timeout=timeout)
        except KafkaError as error:
            log.warning("could not send what was pending", extra=fields(error=repr(error)))
        try:
            producer.close(timeout=1.0)
        except KafkaError as error:
            log.warning("could not close the client in order", extra=fields(error=repr(error)))

    def finish(self) -> None:
        """Send what is pending, end the client and log what stayed unacknowledged."""
        self.disconnect(FLUSH_S)
        if self._delivery.pending:
            log.error("ended with messages unacknowledged", extra=fields(pending=self._delivery.pending))

    def _connected(self) -> Producer | None:
        """Return a working client, making it if need be; None when stopped first."""
        if self._producer is not None and self._delivery.failed_in_a_row >= RECONNECT_AFTER:
            log.error("too many messages failed, connecting anew")
            self._delivery.failed_in_a_row = 0
            self.disconnect(1.0)
        while self._producer is None and not self._stop.is_set():
            try:
                self._producer = self._connect()
                log.info("connected", extra=fields(topic=self._topic))
            except KafkaError as error:
                log.warning("no connection to Kafka, trying again", extra=fields(error=repr(error)))
                gc.collect()  # a client that failed to start keeps its sockets until it is collected
                self._stop.wait(RETRY_S)
        return self._producer
