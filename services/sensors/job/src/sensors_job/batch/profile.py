"""The baseline of each sensor at each hour of the day: learned from the lake, kept in the database."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2
from psycopg2.extras import execute_values

from sensors_job.lake import rules as lake

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensors_job.batch.history import Period
    from sensors_job.lake.command import MaintenanceSettings

NORMAL = 1.4826
"""The standard deviation of a normal distribution over its median distance from the centre."""
_KNOWN = "SELECT DISTINCT sensor_id FROM sensors.counts WHERE topic = %s"
_VERSION = "INSERT INTO sensors.profile_versions (learned) VALUES (%s) RETURNING version"
_ROWS = "INSERT INTO sensors.profiles (version, sensor_id, type, hour, readings, centre, spread) VALUES %s"


@dataclass(frozen=True)
class Limits:
    """Which hours are learned, and how narrow a spread may be (in the unit of the type)."""

    minimum: int = 100
    """Readings that an hour of the day needs in all."""
    floor: float = 0.1


class Usual(NamedTuple):
    """A row of sensors.profiles without its version."""

    sensor_id: str
    type: str
    hour: int
    readings: int
    centre: float
    spread: float


class Learned(NamedTuple):
    """A profile that was written; `unknown`: sensors of the lake that the database does not know."""

    version: int
    rows: list[Usual]
    unknown: set[str]


def statement(table: str, limits: Limits) -> str:
    """Return the query of Usual's columns; its parameters are `begin` and `end`.

    Medians come from counts of each value, of which there are few: sensors repeat themselves.
    """
    source = f"(SELECT * FROM {table} WHERE event_time >= :begin AND event_time < :end)"  # noqa: S608 - our own text
    spread = f"greatest({NORMAL!r}D * percentile(abs(value - centre), 0.5, readings), {limits.floor!r}D)"
    return f"""
        WITH counted AS (
            SELECT sensor_id, type, hour(event_time) AS hour, value, count(*) AS readings
            FROM ({lake.distinct_readings(source)}) GROUP BY ALL),
        centres AS (
            SELECT sensor_id, type, hour, sum(readings) AS total, percentile(value, 0.5, readings) AS centre
            FROM counted GROUP BY ALL HAVING sum(readings) >= {limits.minimum})
        SELECT sensor_id, type, hour, first(total) AS readings, first(centre) AS centre,
            {spread} AS spread
        FROM counted JOIN centres USING (sensor_id, type, hour)
        GROUP BY sensor_id, type, hour ORDER BY sensor_id, type, hour
    """  # noqa: S608 - our own text


def learn(spark: Any, table: str, period: Period, limits: Limits) -> list[Usual]:  # noqa: ANN401 - pyspark
    """Return what the lake's `table` says is usual, from the readings of a period; hours are UTC's."""
    rows = spark.sql(statement(table, limits), args={"begin": period.begin, "end": period.end}).collect()
    return [Usual(*row) for row in rows]


def split(rows: Iterable[Usual], known: set[str]) -> tuple[list[Usual], set[str]]:
    """Return the rows of sensors that are known, and the ids of the others."""
    rows = list(rows)
    return [row for row in rows if row.sensor_id in known], {row.sensor_id for row in rows} - known


def write(settings: MaintenanceSettings, rows: list[Usual], period: Period, limits: Limits) -> Learned | None:
    """Write a new version, in force at once where rules go by it; None if there is nothing to write."""
    connection = psycopg2.connect(**settings.postgres.connect_arguments("sensors-batch"))
    with closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(_KNOWN, (settings.topic,))
        wanted, unknown = split(rows, {sensor_id for (sensor_id,) in cursor.fetchall()})
        if not wanted:
            return None
        text = {"from": period.begin.isoformat(), "to": period.end.isoformat(), **asdict(limits)}
        cursor.execute(_VERSION, (json.dumps(text),))
        (version,) = cursor.fetchone()
        execute_values(cursor, _ROWS, [(version, *row) for row in wanted])
    return Learned(version, wanted, unknown)
