"""The file of a buffer: messages that wait, and messages that Kafka refused for good. SQLite in WAL mode.

It has two connections: what is taken is on the disk when append() returns; what is removed need not be, as it
would be sent twice at worst. The caller sees to it that only one thread is in here at a time.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

VERSION = 1
OVERHEAD = 64  # bytes that a message takes besides its key and value, about
_SCHEMA = f"""
BEGIN;
CREATE TABLE waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key BLOB NOT NULL,
                      value BLOB NOT NULL, accepted REAL NOT NULL);
CREATE INDEX waiting_topic ON waiting (topic);
CREATE TABLE refused (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, key BLOB NOT NULL,
                      value BLOB NOT NULL, accepted REAL NOT NULL, refused REAL NOT NULL,
                      reason TEXT NOT NULL);
PRAGMA user_version = {VERSION};
COMMIT;
"""
_APPEND = "INSERT INTO waiting (topic, key, value, accepted) VALUES (?, ?, ?, ?)"
_REFUSE = "INSERT INTO refused SELECT id, topic, key, value, accepted, ?, ? FROM waiting WHERE id = ?"
_AGAIN = (
    "INSERT INTO waiting (topic, key, value, accepted) SELECT topic, key, value, ? FROM refused ORDER BY id"
)
_NEXT = "SELECT id, key, value FROM waiting WHERE topic = ? AND id > ? ORDER BY id LIMIT ?"


class Row(NamedTuple):
    """A message that waits; a larger id was taken later."""

    id: int
    key: bytes
    value: bytes


def size_of(key: bytes, value: bytes) -> int:
    """Return how many bytes a message counts for."""
    return len(key) + len(value) + OVERHEAD


class BufferFile:
    """Reads and writes the file; every method may raise sqlite3.Error, and has then changed nothing."""

    def __init__(self, path: Path, synchronous: str = "FULL") -> None:
        """Open the file, or make it; its folder must be there."""
        self._taking = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._sending = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(synchronous)
        except sqlite3.Error:
            self.close()
            raise

    def append(self, groups: Iterable[tuple[str, Sequence[tuple[bytes, bytes]]]], accepted: float) -> None:
        """Add messages (key, value) of topics in one commit."""
        with _Transaction(self._taking):
            for topic, messages in groups:
                rows = ((topic, key, value, accepted) for key, value in messages)
                self._taking.executemany(_APPEND, rows)

    def remove(self, ids: Collection[int]) -> tuple[int, int]:
        """Remove messages that wait; return number and bytes of those that were there."""
        with _Transaction(self._sending):
            return self._remove(ids)

    def refuse(self, ids: Collection[int], reason: str, now: float) -> tuple[int, int]:
        """Move messages that wait to the refused ones; return number and bytes of those that were there."""
        with _Transaction(self._sending):
            self._sending.executemany(_REFUSE, ((now, reason, number) for number in ids))
            return self._remove(ids)

    def again(self, now: float) -> None:
        """Let all refused messages wait once more, as if they had just been taken."""
        with _Transaction(self._taking):
            self._taking.execute(_AGAIN, (now,))
            self._taking.execute("DELETE FROM refused")

    def drop(self) -> None:
        """Delete all refused messages."""
        self._taking.execute("DELETE FROM refused")

    def refusals(self) -> list[tuple[str, str, int, float]]:
        """Return topic, reason, number and last time (seconds since 1970) of the refused messages."""
        return self._sending.execute(
            "SELECT topic, reason, count(*), max(refused) FROM refused GROUP BY topic, reason ORDER BY 1, 2"
        ).fetchall()

    def rows(self, topic: str, after: int, limit: int, most_bytes: int) -> list[Row]:
        """Return the next messages of `topic` with ids larger than `after`, in the order in which they came.

        At most `limit`, and the last is the one that reaches `most_bytes`.
        """
        found: list[Row] = []
        cursor = self._sending.execute(_NEXT, (topic, after, limit))
        for row in map(Row._make, cursor):
            found.append(row)
            most_bytes -= size_of(row.key, row.value)
            if most_bytes <= 0:
                break
        cursor.close()
        return found

    def ids(self, topic: str) -> list[int]:
        """Return the ids of all messages of `topic` that wait."""
        found = self._sending.execute("SELECT id FROM waiting WHERE topic = ? ORDER BY id", (topic,))
        return [row[0] for row in found.fetchall()]

    def oldest(self) -> float | None:
        """Return when the oldest message that waits was taken, in seconds since 1970."""
        row = self._sending.execute("SELECT accepted FROM waiting ORDER BY id LIMIT 1").fetchone()
        return row[0] if row else None

    def totals(self) -> tuple[int, int, int]:
        """Return how many messages wait, how many are refused, and the bytes of both."""
        sums = "count(*), coalesce(sum(length(key) + length(value) + ?), 0)"
        found = [
            self._sending.execute(f"SELECT {sums} FROM {table}", (OVERHEAD,)).fetchone()  # noqa: S608 - our own names
            for table in ("waiting", "refused")
        ]
        return found[0][0], found[1][0], found[0][1] + found[1][1]

    def close(self) -> None:
        """Close it; nothing may be called afterwards."""
        self._sending.close()
        self._taking.close()

    def _remove(self, ids: Collection[int]) -> tuple[int, int]:
        count = size = 0
        for number in ids:
            row = self._sending.execute(
                "DELETE FROM waiting WHERE id = ? RETURNING length(key) + length(value) + ?",
                (number, OVERHEAD),
            ).fetchone()
            if row is not None:
                count, size = count + 1, size + row[0]
        return count, size

    def _prepare(self, synchronous: str) -> None:
        for connection, level in ((self._taking, synchronous), (self._sending, "NORMAL")):
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                message = f"the file system allows no write-ahead log, only {mode}"
                raise sqlite3.OperationalError(message)
            connection.execute(f"PRAGMA synchronous = {level}")
        (version,) = self._taking.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._taking.executescript(_SCHEMA)
        elif version != VERSION:
            message = f"its version is {version}, this program knows {VERSION}"
            raise sqlite3.DatabaseError(message)


class _Transaction:
    """Commits what was done in it, or rolls back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
