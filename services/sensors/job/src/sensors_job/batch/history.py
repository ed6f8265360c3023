"""The command `sensors-history`: a sensor's readings from the database and the lake, each once.

The database forgets readings after its retention, and the lake is some minutes behind: together they have
all. A reading that both have is the same in both, since in each of them the first message wins.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2

from millrace_common.logs import setup_logging
from millrace_common.service import run_command
from sensors_job.lake import command as lake_command
from sensors_job.lake import rules as lake
from sensors_job.lake.command import MaintenanceSettings

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator

    from millrace_common.postgres import PostgresSettings

SOURCES = {
    "both": "database and lake together",
    "database": "the database alone",
    "lake": "the lake alone",
    "messages": "the lake alone, with each reading as often as it was sent",
}


class Reading(NamedTuple):
    """A stored reading; what sorts it, and tells it from others, comes first."""

    event_time: datetime
    sensor_id: str
    type: str
    value: float
    source_partition: int
    source_offset: int


class Period(NamedTuple):
    """What is asked for: event times from `begin` until before `end`, of `sensor` or of all sensors (None).

    A `sensor` that ends in * stands for all whose ids begin with what is before it.
    """

    begin: datetime
    end: datetime
    sensor: str | None = None


COLUMNS = ", ".join(Reading._fields)
ORDER = "event_time, sensor_id, type, source_partition, source_offset"
PSYCOPG2 = "%({})s"
SPARK = ":{}"


def parse_time(text: str) -> datetime:
    """Return a time as a date, an ISO 8601 time (UTC unless it says otherwise) or `now`; ValueError."""
    time = datetime.now(UTC) if text == "now" else datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def merged(*sources: Iterable[Reading]) -> Iterator[Reading]:
    """Yield the readings of sources that are sorted each, in order, and what several of them have once."""
    last: tuple[datetime, str, str] | None = None
    for reading in heapq.merge(*sources, key=lambda reading: reading[:3]):
        if reading[:3] != last:
            last = reading[:3]
            yield reading


def statement(period: Period, table: str, parameter: str) -> tuple[str, dict[str, object]]:
    """Return SQL and its named values for the readings of a period, sorted.

    `parameter` is how a parameter called {} is written: PSYCOPG2 or SPARK.
    """
    values: dict[str, object] = {"begin": period.begin, "end": period.end}
    wanted = ["event_time >= {0}", "event_time < {1}"]
    if period.sensor is not None:
        values["sensor"] = period.sensor.removesuffix("*")
        begins = period.sensor.endswith("*")
        wanted.append("left(sensor_id, length({2})) = {2}" if begins else "sensor_id = {2}")
    condition = " AND ".join(wanted).format(*(parameter.format(name) for name in values))
    return f"SELECT {COLUMNS} FROM {table} WHERE {condition} ORDER BY {ORDER}", values  # noqa: S608 - our own text


@contextmanager
def from_database(settings: PostgresSettings, period: Period) -> Iterator[Iterator[Reading]]:
    """Yield the database's readings, fetched as they are asked for."""
    connection = psycopg2.connect(
        **settings.connect_arguments("sensors-history"), options="-c timezone=UTC -c jit=off"
    )
    with closing(connection), connection.cursor("history") as cursor:
        cursor.itersize = 10_000
        cursor.execute(*statement(period, "sensors.measurements", PSYCOPG2))
        yield (Reading(*row) for row in cursor)


@contextmanager
def from_lake(
    settings: MaintenanceSettings, period: Period, *, messages: bool = False
) -> Iterator[Iterator[Reading]]:
    """Yield the lake's readings, each once; with `messages` as often as it was sent."""
    with lake_command.session(settings, lake_command.LOCAL) as spark:
        yield lake_readings(spark, settings.lake.name, period, messages=messages)


def lake_readings(
    spark: Any,  # noqa: ANN401 - pyspark
    table: str,
    period: Period,
    *,
    messages: bool = False,
) -> Iterator[Reading]:
    """Yield the readings of the lake's `table`, by a session of Spark; with `messages` repeated ones too."""
    text, values = statement(period, table if messages else f"({lake.distinct_readings(table)})", SPARK)
    for event_time, *others in spark.sql(text, args=values).toLocalIterator():
        # Spark's rows have naive times, in the process's own zone.
        yield Reading(event_time.astimezone(UTC), *others)


def write(readings: Iterable[Reading]) -> None:
    """Write readings as CSV with a header to standard output."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(Reading._fields)
    for reading in readings:
        out.writerow([reading.event_time.isoformat(timespec="microseconds"), *reading[1:]])


def run(period: Period, source: str, settings: MaintenanceSettings, _stop: threading.Event) -> int:
    """Write the readings of a period; return 0."""
    # Standard output is for the readings.
    setup_logging(settings.log_level, sys.stderr)
    if source == "database":
        with from_database(settings.postgres, period) as stored:
            write(stored)
    elif source in {"lake", "messages"}:
        with from_lake(settings, period, messages=source == "messages") as kept:
            write(kept)
    else:
        with from_database(settings.postgres, period) as stored, from_lake(settings, period) as kept:
            write(merged(stored, kept))
    return 0


def run_asked(options: argparse.Namespace, settings: MaintenanceSettings, stop: threading.Event) -> int:
    """Write what the command line asks for; return 0."""
    return run(Period(options.begin, options.end, options.sensor), options.source, settings, stop)


def parser() -> argparse.ArgumentParser:
    """Return the command line, besides what all services have."""
    arguments = argparse.ArgumentParser(
        "sensors-history",
        description="Print readings as CSV, sorted by time, from the database and the lake.",
    )
    arguments.add_argument(
        "--sensor",
        metavar="ID",
        help="one sensor alone, or with a * at its end all that begin so; all without it",
    )
    now = datetime.now(UTC)
    arguments.add_argument(
        "--from",
        dest="begin",
        type=parse_time,
        default=now - timedelta(hours=1),
        metavar="TIME",
        help="a date or a time, ISO 8601, UTC unless it says otherwise; an hour ago without it",
    )
    arguments.add_argument(
        "--to", dest="end", type=parse_time, default=now, metavar="TIME", help="until before; now without it"
    )
    arguments.add_argument(
        "--source",
        choices=SOURCES,
        default="both",
        help="; ".join(f"{name}: {what}" for name, what in SOURCES.items()),
    )
    return arguments


def main(arguments: list[str] | None = None) -> int:
    """Print readings; 1 on failure, 2 for a wrong command line or wrong settings."""
    return run_command(parser(), MaintenanceSettings, run_asked, arguments)
