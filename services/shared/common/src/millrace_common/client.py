"""Kafka clients that come through faults of the brokers. Needs kafka-python, as services that send do."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from kafka import (  # type: ignore[import-untyped] # kafka-python has no type hints
    KafkaAdminClient,
    KafkaProducer,
    errors,
)
from kafka.net.compat import KafkaNetClient  # type: ignore[import-untyped] # the same
from kafka.partitioner.default import murmur2  # type: ignore[import-untyped] # the same

from millrace_common.logs import fields
from millrace_common.tls import context

if TYPE_CHECKING:
    from millrace_common.kafka import KafkaSettings

log = logging.getLogger(__name__)
REQUEST_MS = 4000  # below the brokers' session of 6 s: who waits longer waits for a node that is gone
CONNECT_MAX_MS = 8000  # after a failed attempt the next may take twice as long, up to this
METADATA_MS = 3000  # a new leader is known after this even where no error tells of it
BOOTSTRAP_MS = 10_000
BLOCK_MS = 5000  # how long send() may wait for metadata; then the loop looks whether it is to stop
REQUEST_BYTES = 1_048_576

# What the brokers say against a topic, and against one message, for good.
TOPIC_ERRORS = (
    errors.UnknownTopicOrPartitionError,
    errors.TopicAuthorizationFailedError,
    errors.InvalidTopicError,
)
MESSAGE_ERRORS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidRecordError,
    errors.InvalidTimestampError,
    errors.UnsupportedForMessageFormatError,
    errors.PolicyViolationError,
)


def arguments(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments of any client of kafka-python; OSError without the authority's file."""
    common = kafka.client_arguments() | {"request_timeout_ms": REQUEST_MS}
    if kafka.ca_file is not None and kafka.security_protocol == "SASL_SSL":
        common["ssl_context"] = context(kafka.ca_file)
    return common


class Connection:
    """A KafkaProducer that can be closed whatever state it is in."""

    def __init__(self, producer: Any) -> None:  # noqa: ANN401 - kafka-python has no type hints
        """Take over `producer`."""
        self._producer = producer

    def send(self, topic: str, value: bytes, key: bytes, partition: int | None = None) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future has add_callback, add_errback and get(timeout)."""
        return self._producer.send(topic, value=value, key=key, partition=partition)

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions of `topic`; KafkaTimeoutError where no broker tells of it."""
        return sorted(self._producer.partitions_for(topic))

    def flush(self, timeout: float) -> None:
        """Wait until nothing is pending; KafkaTimeoutError after `timeout` seconds."""
        self._producer.flush(timeout=timeout)

    def close(self, timeout: float) -> None:
        """End the client after at most about `timeout` seconds; what is pending then fails."""
        try:
            self._producer.close(timeout=timeout)
        except errors.KafkaError as error:
            log.warning("the client is ended with messages pending", extra=fields(error=repr(error)))
            self.force_close()

    def force_close(self) -> None:
        """End the client without waiting for anything, also from one of its own callbacks."""
        # close() flushes first, also with a time-out of 0, and when that fails it leaves the client running:
        # it would send for ever what somebody else has sent meanwhile. There is no public way around that.
        # Unless it is marked as closed, whoever forgets it last waits for the same flush.
        self._producer._closed = True  # noqa: SLF001 - see above
        self._producer._sender.force_close()  # noqa: SLF001 - see above


def connect(
    kafka: KafkaSettings,
    client_id: str,
    linger_ms: int,
    delivery_timeout_s: float,
    max_request_bytes: int = REQUEST_BYTES,
) -> Connection:
    """Return an idempotent producer whose messages all in-sync replicas acknowledge.

    A message that has no acknowledgement after `delivery_timeout_s` fails. KafkaError if no broker answers.
    """
    return Connection(
        KafkaProducer(
            **arguments(kafka),
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=linger_ms,
            delivery_timeout_ms=delivery_timeout_s * 1000,
            max_request_size=max_request_bytes,
            metadata_max_age_ms=METADATA_MS,
            max_block_ms=BLOCK_MS,
            bootstrap_timeout_ms=BOOTSTRAP_MS,
            allow_auto_create_topics=False,
            metrics_enabled=False,
            # KafkaProducer has no option for how long a connection may take (10 s), its network client has.
            kafka_client=partial(
                KafkaNetClient,
                socket_connection_setup_timeout_ms=REQUEST_MS,
                socket_connection_setup_timeout_max_ms=CONNECT_MAX_MS,
            ),
        )
    )


class TopicClient:
    """A client for one topic: what a Forwarder sends by."""

    def __init__(self, connection: Connection, topic: str) -> None:
        """Take over a connection whose brokers know the topic."""
        self._connection = connection
        self._topic = topic
        self.abandoned = False

    @classmethod
    def connect(
        cls, kafka: KafkaSettings, topic: str, client_id: str, linger_ms: int, max_message_bytes: int
    ) -> Self:
        """Connect, and make sure that the topic is there; KafkaError without a broker.

        UnknownTopicOrPartitionError or TopicAuthorizationFailedError mean that the brokers said so.
        """
        size = max(REQUEST_BYTES, max_message_bytes + 1024)
        # The watch makes a new client long before the delivery's own time-out ends.
        connection = connect(kafka, client_id, linger_ms, 120.0, size)
        try:
            try:
                connection.partitions(topic)
            except errors.KafkaTimeoutError:
                _ask_for(kafka, topic)
                connection.partitions(topic)  # the first broker that it asked may be one that is gone
        except errors.KafkaError:
            connection.force_close()
            raise
        return cls(connection, topic)

    def lane(self, key: bytes) -> int:
        """Return the partition of `key`, as all of Kafka's clients choose it; KafkaTimeoutError."""
        partitions = self._connection.partitions(self._topic)
        number: int = murmur2(key) & 0x7FFFFFFF
        return partitions[number % len(partitions)]

    def send(self, key: bytes, value: bytes, lane: int) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future has add_callback and add_errback."""
        return self._connection.send(self._topic, value, key, lane)

    def abandon(self) -> None:
        """Send nothing more, from any thread; a request that is on its way may still take effect."""
        self.abandoned = True
        self._connection.force_close()


def _ask_for(kafka: KafkaSettings, topic: str) -> None:
    """Raise what the brokers say against the topic, if they do; KafkaError where none answers."""
    admin = KafkaAdminClient(**arguments(kafka), bootstrap_timeout_ms=BOOTSTRAP_MS)
    try:
        (found,) = admin.describe_topics([topic])
    finally:
        admin.close()
    error = errors.for_code(found["error_code"])
    if error in {errors.UnknownTopicOrPartitionError, errors.TopicAuthorizationFailedError}:
        raise error(topic)
