"""A durable, bounded buffer for messages on their way to Kafka: what is taken survives process and node."""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TextIO

from millrace_common.bufferfile import BufferFile, Row, size_of
from millrace_common.config import setting
from millrace_common.logs import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

log = logging.getLogger(__name__)
POLL_S = 0.2  # how often a source that waits looks for room
SAY_EVERY_S = 10.0


class BufferFileError(RuntimeError):
    """The file can't be the buffer; the text says why."""


class MessageTooLargeError(ValueError):
    """Kafka would refuse the message for its size, so it is not taken."""


@dataclass(frozen=True)
class BufferSettings:
    """Where the buffer lies and how much it holds, what Kafka has refused for good included."""

    path: str
    """A file of this service alone, in a folder that is there and stays."""
    max_messages: int = setting(1_000_000, minimum=1)
    max_bytes: int = setting(268_435_456, minimum=1024)
    max_message_bytes: int = setting(1_000_000, minimum=1)
    """Key and value of one message; the topic's max.message.bytes must leave room for it."""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """NORMAL survives the process, but not the node."""


@dataclass
class _Ticket:
    """What one call of put() wants to have written, and what became of it."""

    topic: str
    messages: Sequence[tuple[bytes, bytes]]
    size: int
    tried: bool = False
    problem: str | None = None


def lock(path: Path) -> TextIO:
    """Keep other processes from the buffer at `path` until what is returned is closed; BufferFileError."""
    try:
        guard = path.with_name(f"{path.name}.lock").open("w", encoding="utf-8")
    except OSError as error:
        message = f"{path}: can't be used as a buffer: {error.strerror}"
        raise BufferFileError(message) from error
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        guard.close()
        message = f"{path}: another process uses this buffer"
        raise BufferFileError(message) from error
    return guard


class Buffer:
    """The buffer of one process; its methods may be called from any thread."""

    def __init__(self, settings: BufferSettings, wall: Callable[[], float] = time.time) -> None:
        """Open or make the file; BufferFileError if it is in use or is no buffer.

        `wall` gives seconds since 1970.
        """
        self._settings = settings
        self._wall = wall
        self._lock = threading.Lock()  # of the file and of what is counted
        self._queue_lock = threading.Lock()
        self._queue: list[_Ticket] = []
        self._last_said = float("-inf")
        self.problem: str | None = None
        """Why a source waits at the moment, or None."""
        self.blocked_seconds = 0.0
        """How long sources have waited, in all."""
        self.accepted = 0
        self.on_accepted: Callable[[], None] = lambda: None
        self._guard = lock(Path(settings.path))
        try:
            self._file = BufferFile(Path(settings.path), settings.synchronous)
            self.waiting, self.refused, self.bytes = self._file.totals()
        except sqlite3.Error as error:
            self._guard.close()
            message = (
                f"{settings.path}: can't be used as a buffer: {error}; docs/producers.md says what to do"
            )
            raise BufferFileError(message) from error

    def put(self, topic: str, messages: Sequence[tuple[bytes, bytes]], stop: threading.Event) -> bool:
        """Take messages (key, value), all of them, and return when they are on the disk.

        Waits while the buffer or its disk is full, and says so; False, and nothing taken, when `stop` was set
        meanwhile. MessageTooLargeError or ValueError, and nothing taken, for what could never be.
        """
        size = self._checked(topic, messages)
        since: float | None = None
        while (problem := self._offer(_Ticket(topic, messages, size))) is not None:
            now = time.monotonic()
            since = now if since is None else since
            if now - self._last_said >= SAY_EVERY_S:
                self._last_said = now
                log.error("the source waits", extra=fields(reason=problem))
            if stop.wait(POLL_S):
                return False
            self.blocked_seconds += POLL_S
        if since is not None:
            log.warning("the source goes on", extra=fields(waited_s=round(time.monotonic() - since, 1)))
        self.on_accepted()
        return True

    def rows(self, topic: str, after: int, limit: int, most_bytes: int) -> list[Row]:
        """Return the next messages as BufferFile.rows does."""
        with self._lock:
            return self._file.rows(topic, after, limit, most_bytes)

    def forget(self, ids: Collection[int]) -> int:
        """Forget messages that Kafka has; return how many of them were still there."""
        with self._lock:
            count, size = self._file.remove(ids)
            self.waiting, self.bytes = self.waiting - count, self.bytes - size
        return count

    def refuse(self, ids: Collection[int], reason: str) -> int:
        """Put messages aside that Kafka refuses for good; return how many."""
        with self._lock:
            count, _ = self._file.refuse(ids, reason, self._wall())
            self.waiting, self.refused = self.waiting - count, self.refused + count
        return count

    def ids(self, topic: str) -> list[int]:
        """Return the ids of all messages of `topic` that wait."""
        with self._lock:
            return self._file.ids(topic)

    def oldest_age(self) -> float:
        """Return for how many seconds the oldest message has waited, 0 without any."""
        with self._lock:
            oldest = self._file.oldest()
        return 0.0 if oldest is None else max(0.0, self._wall() - oldest)

    def close(self) -> None:
        """Close the file; nothing may be called afterwards."""
        with self._lock:
            self._file.close()
            self._guard.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _checked(self, topic: str, messages: Sequence[tuple[bytes, bytes]]) -> int:
        """Return how many bytes the messages count for; MessageTooLargeError, ValueError: they never fit."""
        largest = max((len(key) + len(value) for key, value in messages), default=0)
        if largest > self._settings.max_message_bytes:
            most = self._settings.max_message_bytes
            message = f"a message of {largest} bytes for {topic}; at most {most} are taken"
            raise MessageTooLargeError(message)
        size = sum(size_of(key, value) for key, value in messages)
        if len(messages) > self._settings.max_messages or size > self._settings.max_bytes:
            message = f"{len(messages)} messages of {size} bytes at once are more than the buffer may hold"
            raise ValueError(message)
        return size

    def _offer(self, ticket: _Ticket) -> str | None:
        """Write what all callers want that wait now, in one commit; return why this one's could not be."""
        with self._queue_lock:
            self._queue.append(ticket)
        with self._lock:
            # Whoever waited for the lock mostly finds that the one before has written for it too.
            if not ticket.tried:
                self._write()
        return ticket.problem

    def _write(self) -> None:
        with self._queue_lock:
            group, self._queue = self._queue, []
        count, size, taken = self.waiting, self.bytes, []
        for ticket in group:
            ticket.tried = True
            more, larger = count + len(ticket.messages), size + ticket.size
            if more + self.refused > self._settings.max_messages or larger > self._settings.max_bytes:
                ticket.problem = (
                    f"the buffer is full: {self.waiting} messages wait, {self.refused} are refused, "
                    f"{self.bytes} bytes"
                )
            else:
                count, size = more, larger
                taken.append(ticket)
        try:
            self._file.append([(ticket.topic, ticket.messages) for ticket in taken], self._wall())
        except sqlite3.Error as error:  # such as a full disk, which an operator mends
            for ticket in taken:
                ticket.problem = f"the buffer's disk takes nothing: {error}"
        else:
            self.accepted += count - self.waiting
            self.waiting, self.bytes = count, size
        self.problem = next((ticket.problem for ticket in group if ticket.problem), None)
