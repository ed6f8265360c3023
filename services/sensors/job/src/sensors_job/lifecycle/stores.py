"""What the lifecycle asks the two stores, and what it tells the database to drop."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2

from sensors_job.lake import rules as lake
from sensors_job.lifecycle.policy import Chunk, Digest, Group, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Who waits long for a chunk's lock would make everybody wait who wants the chunk after it.
OPTIONS = "-c timezone=UTC -c jit=off -c lock_timeout=60s -c default_transaction_isolation=read\\ committed"
# Beside the daily run a person may start another one.
_ALONE = "SELECT pg_try_advisory_lock(hashtext('sensors.lifecycle'))"
_POLICIES = """
SELECT l.kind, now(), now() - l.drop_after, d.time_interval
FROM sensors.lifecycle l
JOIN timescaledb_information.dimensions d ON d.hypertable_schema = 'sensors' AND d.hypertable_name = l.kind
"""
_CHUNKS = """
SELECT l.kind, c.range_start, c.range_end
FROM sensors.lifecycle l
JOIN timescaledb_information.chunks c ON c.hypertable_schema = 'sensors' AND c.hypertable_name = l.kind
"""
_DIGESTS = "SELECT sensor_id, type, hour, readings, digest FROM sensors.digests(%s, %s)"
_RECORD = "SELECT sensors.record_verification(%s, %s, %s, %s, %s)"
_DROP_VERIFIED = "SELECT sensors.drop_verified(%s, %s)"
_DROP_OLD = "SELECT sensors.drop_old(%s, %s, %s)"


class BusyError(RuntimeError):
    """Another run of the lifecycle is going on."""


class Database:
    """The database, by a connection of which each statement is a transaction."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - no types
        """Take the connection; BusyError if another run has the lock."""
        self._connection = connection
        connection.autocommit = True
        ((alone,),) = self._ask(_ALONE)
        if not alone:
            message = "another run of the lifecycle is going on"
            raise BusyError(message)

    def _ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def policies(self) -> list[Policy]:
        """Return the policies of all kinds."""
        return [Policy(*row) for row in self._ask(_POLICIES)]

    def chunks(self) -> list[Chunk]:
        """Return the chunks of all kinds."""
        return [Chunk(*row) for row in self._ask(_CHUNKS)]

    def digests(self, chunk: Chunk) -> dict[Group, Digest]:
        """Return what the database holds of the readings of a chunk's time."""
        return by_group(self._ask(_DIGESTS, chunk.begin, chunk.end))

    def record(self, chunk: Chunk, held: Digest, held_by: str) -> None:
        """Record what `held_by` (lake or nothing) holds of a chunk."""
        self._ask(_RECORD, chunk.begin, chunk.end, held.readings, held.digest, held_by)

    def drop_verified(self, chunk: Chunk) -> bool:
        """Drop a chunk of readings if it is, under a lock, what was recorded; tell whether it was."""
        ((dropped,),) = self._ask(_DROP_VERIFIED, chunk.begin, chunk.end)
        return bool(dropped)

    def drop_old(self, chunk: Chunk) -> None:
        """Drop a chunk of anything else, minutes after adding them to the longer periods."""
        self._ask(_DROP_OLD, *chunk)


@contextmanager
def database(arguments: Mapping[str, Any]) -> Iterator[Database]:
    """Yield the database, by libpq's `arguments`; BusyError, psycopg2.Error."""
    with closing(psycopg2.connect(**arguments, options=OPTIONS)) as connection:
        yield Database(connection)


def lake_digests(spark: Any, table: str, chunk: Chunk) -> dict[Group, Digest]:  # noqa: ANN401 - pyspark
    """Return what the lake's `table` holds of the readings of a chunk's time, by a session of Spark in UTC.

    The same as sensors.digests() of the database, which says what goes into it.
    """
    # The bits come from a query of their own, since Spark takes them for nothing that may stand in a sum.
    text = f"""
        SELECT sensor_id, type, hour, count(*) AS readings, sum(CAST(conv(left(md5(
            concat_ws('|', sensor_id, type, micros, bits)), 15), 16, 10) AS DECIMAL(38, 0))) AS digest
        FROM (SELECT sensor_id, type, unix_seconds(date_trunc('HOUR', event_time)) AS hour,
                  unix_micros(event_time) AS micros,
                  java_method('java.lang.Double', 'doubleToLongBits', value) AS bits
              FROM ({lake.distinct_readings(table)})
              WHERE event_time >= :begin AND event_time < :end)
        GROUP BY sensor_id, type, hour
    """  # noqa: S608 - our own text
    return by_group(spark.sql(text, args={"begin": chunk.begin, "end": chunk.end}).collect())


def by_group(rows: Any) -> dict[Group, Digest]:  # noqa: ANN401 - rows of psycopg2 or of pyspark
    """Return rows of sensor, type, hour, readings, digest as a mapping."""
    return {Group(*row[:3]): Digest(int(row[3]), int(row[4])) for row in rows}
