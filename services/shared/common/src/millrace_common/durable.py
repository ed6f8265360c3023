"""A producer that loses nothing: a buffer on the disk, and a sender for each topic. Needs kafka-python.

For what its source can't read again. docs/producers.md says what an operator sees of it.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from millrace_common.client import TopicClient
from millrace_common.forwarder import Forwarder
from millrace_common.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from millrace_common.buffer import Buffer, BufferSettings
    from millrace_common.forwarder import Client
    from millrace_common.http import HealthServer
    from millrace_common.kafka import KafkaSettings

log = logging.getLogger(__name__)


class Figures:
    """What the senders of a process count, beside what its buffer knows, as metrics called `name`_…."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        """Register them."""
        self._acknowledged = Counter(
            f"{name}_acknowledged", "Messages that Kafka acknowledged.", registry=registry
        )
        self._refused = Counter(f"{name}_refused", "Messages that Kafka refused for good.", registry=registry)
        self._resent = Counter(f"{name}_resent", "Messages that were sent once more.", registry=registry)
        self._replaced = Counter(
            f"{name}_client_replacements",
            "Kafka clients that were given up: stalled, or a message failed.",
            ["reason"],
            registry=registry,
        )
        for reason in ("stalled", "failed"):
            self._replaced.labels(reason)
        self._ack_time = Gauge(
            f"{name}_last_acknowledgement_timestamp_seconds",
            "Time of the last acknowledgement.",
            registry=registry,
        )

    def acknowledged(self, count: int) -> None:
        """Count messages that Kafka has."""
        self._acknowledged.inc(count)
        self._ack_time.set_to_current_time()

    def refused(self, count: int) -> None:
        """Count messages that were put aside."""
        self._refused.inc(count)

    def resent(self) -> None:
        """Count a message that was handed to a client once more."""
        self._resent.inc()

    def replaced(self, reason: str) -> None:
        """Count a client that was given up."""
        self._replaced.labels(reason).inc()


def _register(registry: CollectorRegistry, name: str, buffer: Buffer) -> None:
    """Register what the buffer knows."""
    texts: dict[str, tuple[str, Callable[[], float]]] = {
        "messages": ("Messages that wait for Kafka.", lambda: buffer.waiting),
        "bytes": ("Size of what the buffer holds, refused messages included.", lambda: buffer.bytes),
        "refused_messages": ("Messages in the table of those that Kafka refused.", lambda: buffer.refused),
        "oldest_age_seconds": ("How long the oldest message has waited.", buffer.oldest_age),
        "full": ("1 while the source waits for room, else 0.", lambda: int(buffer.problem is not None)),
        "blocked_seconds": ("How long the source has waited for room.", lambda: buffer.blocked_seconds),
        "accepted_messages": ("Messages taken since the start.", lambda: buffer.accepted),
    }
    for suffix, (text, value) in texts.items():
        Gauge(f"{name}_buffer_{suffix}", text, registry=registry).set_function(value)


class DurableProducer:
    """Takes messages and sees to it that Kafka gets them; put() may be called from any thread."""

    def __init__(
        self,
        buffer: Buffer,
        connects: dict[str, Callable[[], Client]],
        registry: CollectorRegistry,
        name: str,
        healthy_within_s: float = 15.0,
    ) -> None:
        """Send nothing yet: `connects` makes the client of each topic, `name` is what all metrics begin with.

        It is unwell when the oldest message has waited for more than `healthy_within_s`.
        """
        self._buffer = buffer
        self._healthy_within_s = healthy_within_s
        self._stop = threading.Event()
        self._error: BaseException | None = None
        figures = Figures(registry, name)
        _register(registry, name, buffer)
        self._forwarders = {
            topic: Forwarder(topic, buffer, connect, figures) for topic, connect in connects.items()
        }
        self._threads = [
            threading.Thread(target=self._run, args=(forwarder,), name=f"send-{topic}", daemon=True)
            for topic, forwarder in self._forwarders.items()
        ]
        buffer.on_accepted = self._wake

    def start(self) -> None:
        """Send, beginning with what an earlier process left."""
        if self._buffer.waiting:
            log.info("sending what was left", extra=fields(messages=self._buffer.waiting))
        for thread in self._threads:
            thread.start()

    def put(self, topic: str, messages: Sequence[tuple[bytes, bytes]], stop: threading.Event) -> bool:
        """Take messages (key, value) as Buffer.put does; KeyError for another topic than those given.

        Raises what has ended a sender, if anything has: then nothing is sent any more.
        """
        if topic not in self._forwarders:
            raise KeyError(topic)
        if self._error is not None:
            raise self._error
        return self._buffer.put(topic, messages, stop)

    def drain(self, stop: threading.Event) -> None:
        """Wait until nothing is left to send, or `stop` is set; raises what has ended a sender."""
        while self._buffer.waiting and not stop.wait(0.05):
            if self._error is not None:
                raise self._error

    def finish(self) -> None:
        """End the senders within seconds, with or without Kafka; what is left stays in the buffer."""
        self._stop.set()
        self._wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        if self._buffer.waiting:
            log.warning("ended with messages in the buffer", extra=fields(messages=self._buffer.waiting))

    def check(self) -> str | None:
        """Health check: None, or why it is not well."""
        if self._error is not None:
            return f"a sender has ended: {self._error!r}"
        if self._buffer.problem is not None:
            return f"the source waits: {self._buffer.problem}"
        age = self._buffer.oldest_age()
        if age > self._healthy_within_s:
            return f"the oldest message has waited {age:.0f} s for Kafka ({self._buffer.waiting} wait)"
        return None

    def refusals(self) -> str:
        """Return what Kafka has refused for good, as a text for people."""
        return f"{self._buffer.refused} messages" + (
            "" if not self._buffer.refused else ": docs/producers.md"
        )

    def add_to(self, server: HealthServer) -> None:
        """Show it in /healthz."""
        server.add_check("kafka", self.check)
        server.add_detail("refused", self.refusals)

    def _wake(self) -> None:
        for forwarder in self._forwarders.values():
            forwarder.wake()

    def _run(self, forwarder: Forwarder) -> None:
        try:
            forwarder.run(self._stop)
        except BaseException as error:  # told by put() and check()
            log.exception("a sender has ended")
            self._error = error


def clients(
    kafka: KafkaSettings, topics: Sequence[str], client_id: str, linger_ms: int, buffer: BufferSettings
) -> dict[str, Callable[[], Client]]:
    """Return what makes the real client of each topic."""
    return {
        topic: partial(TopicClient.connect, kafka, topic, client_id, linger_ms, buffer.max_message_bytes)
        for topic in topics
    }
