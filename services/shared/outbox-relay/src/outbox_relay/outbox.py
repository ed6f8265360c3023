"""The outbox in the database: take rows under a lock, delete them in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from millrace_common.postgres import PostgresSettings

# The running sum keeps a batch of large rows small; the subquery locks nothing, so that only rows that are
# taken are locked. Rows that someone else holds are left to them.
_TAKE = sql.SQL("""
SELECT id, topic, key, value FROM {outbox}
WHERE id IN (
    SELECT id FROM (
        SELECT id, sum(octet_length(value)) OVER (ORDER BY id) - octet_length(value) AS before
        FROM (SELECT id, value FROM {outbox} ORDER BY id LIMIT %(rows)s) AS oldest
    ) AS summed
    WHERE before < %(bytes)s
)
ORDER BY id FOR UPDATE SKIP LOCKED
""")
_DELETE = sql.SQL("DELETE FROM {outbox} WHERE id = ANY(%s)")
_AGE = sql.SQL("SELECT coalesce(extract(epoch FROM now() - created_at), 0) FROM {outbox} ORDER BY id LIMIT 1")


@dataclass(frozen=True)
class Row:
    """One message that waits to be published."""

    id: int
    topic: str
    key: str
    value: str


class Outbox:
    """A connection to the outbox; every method may raise psycopg2.Error, after which it is of no more use."""

    def __init__(self, settings: PostgresSettings, outbox: str, name: str) -> None:
        """Connect; `outbox` is SCHEMA.TABLE, `name` what the server's lists call the connection."""
        self._connection = psycopg2.connect(**settings.connect_arguments(name))
        table = sql.Identifier(*outbox.split("."))
        self._take, self._delete, self._age = (text.format(outbox=table) for text in (_TAKE, _DELETE, _AGE))

    def take(self, rows: int, size: int) -> list[Row]:
        """Lock and return the oldest rows, at most `rows` and (but for the last one) `size` bytes of values.

        The lock lasts until delete() or release().
        """
        with self._connection.cursor() as cursor:
            cursor.execute(self._take, {"rows": rows, "bytes": size})
            return [Row(*row) for row in cursor.fetchall()]

    def delete(self, rows: list[Row]) -> None:
        """Delete `rows` and commit."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._delete, ([row.id for row in rows],))
        self._connection.commit()

    def release(self) -> None:
        """Give the rows back as they were."""
        self._connection.rollback()

    def oldest_age(self) -> float:
        """Return the age of the oldest row in seconds, 0 when there is none."""
        with self._connection.cursor() as cursor:
            cursor.execute(self._age)
            row = cursor.fetchone()
        self._connection.rollback()
        return float(row[0]) if row else 0.0

    def close(self) -> None:
        """Close the connection; what was locked is free again."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
