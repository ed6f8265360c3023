"""Sends what lies in a buffer to one topic until Kafka has acknowledged it, whatever happens to the client.

A client is given up when one of its messages fails or a lane makes no progress, and what it had not
acknowledged is sent again by the next one, from the oldest message on. So a message may be sent twice. But of
those with one key none is there before all that were taken earlier are, or were refused for good.
"""

from __future__ import annotations

import gc
import logging
import queue
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from kafka import errors  # type: ignore[import-untyped] # kafka-python has no type hints

from millrace_common.bufferfile import size_of
from millrace_common.client import MESSAGE_ERRORS, TOPIC_ERRORS
from millrace_common.logs import fields
from millrace_common.watch import STALL_S, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from millrace_common.buffer import Buffer
    from millrace_common.bufferfile import Row
    from millrace_common.durable import Figures

log = logging.getLogger(__name__)
IN_FLIGHT = 1000  # messages that the client may have at once
IN_FLIGHT_BYTES = 8_388_608
RETRY_S = 2.0
STEP_S = 0.25
FINISH_S = 1.5  # at the end: for what would otherwise be sent again by the next start
TOPIC_PATIENCE_S = 60.0  # a topic that is not there, or may not be written, may be so in a minute
SAY_EVERY_S = 10.0


class Client(Protocol):
    """What is needed of a TopicClient: of one lane, it sends in order, and nothing after one that failed."""

    abandoned: bool

    def lane(self, key: bytes) -> int:
        """Return what else than the key decides whether a message makes progress: its partition."""

    def send(self, key: bytes, value: bytes, lane: int) -> Any:  # noqa: ANN401 - a future of kafka-python
        """Hand a message over; the future has add_callback and add_errback."""

    def abandon(self) -> None:
        """Send nothing more; callable from any thread."""


def in_thread(work: Callable[[], None]) -> None:
    """Run `work` beside the rest."""
    threading.Thread(target=work, name="kafka-connect", daemon=True).start()


class Forwarder:
    """The sender of one topic. `run` is its loop; all else but `wake` is called from there."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything outside comes in here, for the tests' fakes
        self,
        topic: str,
        buffer: Buffer,
        connect: Callable[[], Client],
        figures: Figures,
        clock: Callable[[], float] = time.monotonic,
        beside: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        """Connect nothing yet: `connect` may raise KafkaError, `beside` runs it; `clock` gives seconds."""
        self._topic = topic
        self._buffer = buffer
        self._connect = connect
        self._figures = figures
        self._clock = clock
        self._beside = beside
        self._watch: Watch[int] = Watch()
        self._events: queue.SimpleQueue[Callable[[float], None]] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._client: Client | None = None
        # Of the client: what an earlier one says of a failure is of no interest any more.
        self._generation = 0
        self._connecting = False
        self._not_before = float("-inf")  # when to connect
        self._progress = True  # since the last client was given up
        self._cursor = 0  # the id of the last message that this client was given
        self._in_flight: dict[int, tuple[int, int]] = {}  # id -> lane and size, in the order of ids
        self._done: set[int] = set()  # acknowledged, but still in the buffer
        # Up to this id one message at a time, since one of them may be one that Kafka refuses.
        self._careful = 0
        self._sent = 0  # the largest id ever sent by this process
        self._blocked_since: float | None = None  # since when the client takes nothing
        self._topic_since: float | None = None  # since when the brokers say that the topic can't be had
        self._said: dict[str, float] = {}

    def wake(self) -> None:
        """Look at once whether there is something to do; callable from any thread."""
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        """Send until stopped, and a little longer for what is under way; the rest stays in the buffer."""
        try:
            while not stop.is_set():
                self._turn()
            end = self._clock() + FINISH_S
            while self._client is not None and self._buffer.waiting and self._clock() < end:
                self._turn()
        finally:
            if self._client is not None:
                self._client.abandon()

    def step(self) -> None:
        """Do what there is to do, without waiting."""
        now = self._clock()
        for work in (self._take_events, self._forget, self._look_after_the_client, self._send):
            try:
                work(now)
            except sqlite3.OperationalError as error:
                # Such as a full disk: what could not be forgotten is sent again at worst.
                self._say(now, "the buffer's file can't be used, trying on", error=repr(error))

    def _turn(self) -> None:
        self._woken.wait(STEP_S)
        self._woken.clear()
        self.step()

    def _tell(self, event: Callable[[float], None]) -> None:
        self._events.put(event)
        self._woken.set()

    def _take_events(self, now: float) -> None:
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            event(now)

    def _forget(self, _now: float) -> None:
        if self._done:
            self._figures.acknowledged(self._buffer.forget(self._done))
            self._done.clear()

    def _look_after_the_client(self, now: float) -> None:
        if self._connecting or now < self._not_before:
            return
        if self._client is not None:
            if not (lanes := self._stalled(now)):
                return
            self._say(now, "messages make no progress, connecting anew", lanes=lanes, topic=self._topic)
        self._connecting = True
        self._beside(self._make_client)

    def _stalled(self, now: float) -> list[int | None]:
        """Return the lanes that need a new client, or None in place of one that is unknown."""
        blocked = self._blocked_since is not None and now - self._blocked_since >= STALL_S
        return [*self._watch.stalled(now), *([None] if blocked else [])]

    def _make_client(self) -> None:
        try:
            client = self._connect()
        except errors.KafkaError as error:
            gc.collect()  # a client that failed to start keeps its sockets until it is collected
            self._tell(partial(self._not_connected, error))
        except Exception as error:  # noqa: BLE001 - it ends the process, from the loop
            self._tell(partial(self._broken, error))
        else:
            self._tell(partial(self._connected, client))

    def _connected(self, client: Client, now: float) -> None:
        self._connecting = False
        if self._client is None:
            log.info("connected", extra=fields(topic=self._topic))
        elif self._stalled(now):
            self._figures.replaced("stalled")
            log.warning("the client is replaced", extra=fields(topic=self._topic))
        else:  # the old one has come back to life meanwhile
            client.abandon()
            return
        self._give_up(now)
        self._client = client

    def _not_connected(self, error: Exception, now: float) -> None:
        self._connecting = False
        self._not_before = now + RETRY_S
        self._say(now, "no connection to Kafka, trying again", topic=self._topic, error=repr(error))
        if isinstance(error, TOPIC_ERRORS):
            self._topic_failed(error, now)

    @staticmethod
    def _broken(error: Exception, _now: float) -> None:
        raise error

    def _give_up(self, now: float) -> None:
        """Part with the client, if any: what it did not acknowledge is to be sent again, the oldest first."""
        if self._client is not None:
            self._client.abandon()
        self._client = None
        self._generation += 1
        self._in_flight.clear()
        self._blocked_since = None
        self._cursor = 0
        self._watch.restarted(now)

    def _send(self, now: float) -> None:
        """Hand over what there is room for."""
        client = self._client
        careful = next(iter(self._in_flight), self._cursor + 1) <= self._careful
        room = (1 if careful else IN_FLIGHT) - len(self._in_flight)
        bytes_ = IN_FLIGHT_BYTES - sum(size for _, size in self._in_flight.values())
        if client is None or room <= 0 or bytes_ <= 0:
            return
        for row in self._buffer.rows(self._topic, self._cursor, room, bytes_):
            if client.abandoned:  # why is among the events
                return
            try:
                lane = client.lane(row.key)
                future = client.send(row.key, row.value, lane)
            except errors.MessageSizeTooLargeError as error:  # by the client's own limit
                self._refuse([row.id], error)
                self._cursor = row.id
                continue
            except errors.KafkaTimeoutError as error:
                self._blocked_since = now if self._blocked_since is None else self._blocked_since
                self._say(now, "no broker takes messages, trying on", topic=self._topic, error=repr(error))
                return
            except errors.KafkaError as error:
                self._failed(self._generation, row.id, error, now)
                return
            self._note(row, lane, now)
            future.add_callback(partial(self._on_acknowledged, row.id))
            future.add_errback(partial(self._on_failed, client, self._generation, row.id))

    def _note(self, row: Row, lane: int, now: float) -> None:
        self._cursor = row.id
        self._blocked_since = None
        self._in_flight[row.id] = (lane, size_of(row.key, row.value))
        self._watch.handed(lane, now)
        if row.id <= self._sent:
            self._figures.resent()
        self._sent = max(self._sent, row.id)

    def _on_acknowledged(self, number: int, _metadata: object = None) -> None:
        """Take an acknowledgement, in the client's thread."""
        self._tell(partial(self._acknowledged, number))

    def _on_failed(self, client: Client, generation: int, number: int, error: BaseException) -> None:
        """Take a failure, in the client's thread, which may send nothing after it."""
        self._tell(partial(self._failed, generation, number, error))
        client.abandon()

    def _acknowledged(self, number: int, now: float) -> None:
        """Note that Kafka has a message, also if a client says so that was given up."""
        self._done.add(number)
        self._topic_since = None
        self._progress = True
        if number in self._in_flight:
            self._watch.answered(self._in_flight.pop(number)[0], now)

    def _failed(self, generation: int, number: int, error: BaseException, now: float) -> None:
        if generation != self._generation:
            return
        self._figures.replaced("failed")
        self._say(now, "a message failed, connecting anew", topic=self._topic, error=repr(error))
        if isinstance(error, TOPIC_ERRORS):
            self._progress = False
            self._topic_failed(error, now)
        elif isinstance(error, MESSAGE_ERRORS) and number <= self._careful:  # it was alone
            self._refuse([number], error)
        elif not getattr(error, "retriable", False):
            # One bad message makes kafka-python fail all others with the same error: so they go one by one.
            self._careful = max(self._careful, self._cursor, number)
        self._not_before = now if self._progress else now + RETRY_S
        self._progress = False
        self._give_up(now)

    def _topic_failed(self, error: BaseException, now: float) -> None:
        """Refuse all that waits, once the brokers have said for long that the topic can't be had."""
        if self._topic_since is None:
            self._topic_since = now
        elif now - self._topic_since >= TOPIC_PATIENCE_S:
            if self._client is not None:
                self._give_up(now)
            self._refuse(self._buffer.ids(self._topic), error)

    def _refuse(self, ids: Sequence[int], error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        refused = self._buffer.refuse(ids, reason)
        self._progress = True
        self._figures.refused(refused)
        if refused:
            log.error("Kafka refused messages", extra=fields(topic=self._topic, count=refused, reason=reason))

    def _say(self, now: float, message: str, **values: object) -> None:
        """Log a warning, each message at most once in ten seconds."""
        if now - self._said.get(message, float("-inf")) >= SAY_EVERY_S:
            self._said[message] = now
            log.warning(message, extra=fields(**values))
