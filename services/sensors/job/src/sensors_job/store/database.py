"""The kept connection to PostgreSQL, on the driver and in each of the executors' Python workers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A worker that hangs in mid-transaction would keep its partition's ledger row locked: the server ends it.
_OPTIONS = "-c timezone=UTC -c idle_in_transaction_session_timeout=60s -c lock_timeout=120s -c jit=off"
STAGES = """
CREATE TEMP TABLE IF NOT EXISTS stage_measurements (
    event_time timestamptz, sensor_id text, type text, value double precision, source_partition integer,
    source_offset bigint, appended_at timestamptz, weekday smallint, hour smallint, business_hours boolean,
    rules_version bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_inserted (source_offset bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_anomalies (
    stamp text, sensor_id text, type text, value double precision, unit text, rule_id text, severity text,
    threshold double precision, rules_version bigint, source_offset bigint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_rejects (
    reason text, sensor_id text, source_offset bigint, appended_at timestamptz, key bytea, value bytea
) ON COMMIT DELETE ROWS;
"""
"""The temporary tables of the sink, made once a connection."""

# The process's connection. Spark reuses its Python workers, so this lives from batch to batch.
_kept: dict[str, Any] = {}


@contextmanager
def transaction(arguments: Mapping[str, Any], *, stages: bool) -> Iterator[Any]:
    """Yield the kept connection in one transaction: committed at the end, rolled back on an exception.

    `arguments` are libpq's; `stages`: whether the connection needs the sink's temporary tables. After
    any failure the connection is closed, so that the next attempt starts from a clean one.
    """
    connection = _kept.get("connection")
    if connection is None or connection.closed or _kept.get("arguments") != dict(arguments):
        connection = _connect(arguments, stages=stages)
        _kept.update(connection=connection, arguments=dict(arguments))
    try:
        yield connection
        connection.commit()
    except BaseException:
        _kept.pop("connection", None)
        connection.close()  # the server rolls back
        raise


def _connect(arguments: Mapping[str, Any], *, stages: bool) -> Any:  # noqa: ANN401 - no types
    connection = psycopg2.connect(**arguments, options=_OPTIONS)
    if stages:
        with connection, connection.cursor() as cursor:
            cursor.execute(STAGES)
    return connection
