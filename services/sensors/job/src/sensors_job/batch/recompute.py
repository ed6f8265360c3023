"""Aggregates of past days, added up again from the lake and compared with the database's (docs/batch.md)."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import psycopg2

from sensors_job.batch.sums import (
    PERIODS,
    Aggregate,
    Difference,
    Outcome,
    Ranges,
    Repeated,
    Series,
    add_up,
    compare,
    roll_up,
    with_counts_of,
)
from sensors_job.lake import rules as lake
from sensors_job.lake.table import LakeTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sensors_job.batch.history import Period
    from sensors_job.lake.command import MaintenanceSettings

SHOWN = 20
"""How many differences are printed; all are counted."""
# Text in the order that Spark has it in.
_SERIES = """
SELECT DISTINCT sensor_id COLLATE "C" AS sensor_id, type COLLATE "C" AS type FROM sensors.sums_1m
WHERE bucket >= %(begin)s AND bucket < %(end)s ORDER BY 1, 2
"""
_KNOWN = "SELECT DISTINCT sensor_id FROM sensors.counts WHERE topic = %(topic)s"
_LEDGER = "SELECT partition, next_offset FROM sensors.ledger WHERE topic = %(topic)s"
_AGGREGATES = """
SELECT extract(epoch FROM bucket)::bigint, readings, minimum, maximum, mean, deviation, anomalies
FROM sensors.aggregates_{}
WHERE sensor_id = %(sensor)s AND type = %(type)s AND bucket >= %(begin)s AND bucket < %(end)s
"""
_ANOMALIES = """
SELECT sensor_id, type, extract(epoch FROM date_trunc('minute', event_time))::bigint, count(*)
FROM sensors.anomalies WHERE event_time >= %(begin)s AND event_time < %(end)s GROUP BY 1, 2, 3
"""
_MOVING = """
SELECT DISTINCT sensor_id, type, extract(epoch FROM date_trunc('minute', event_time))::bigint
FROM sensors.measurements m
LEFT JOIN unnest(%(partitions)s::integer[], %(offsets)s::bigint[]) AS l(partition, next_offset)
    ON l.partition = m.source_partition
WHERE event_time >= %(begin)s AND event_time < %(end)s AND source_offset >= coalesce(l.next_offset, 0)
"""
_DROPPED = """
SELECT kind, extract(epoch FROM range_start)::bigint, extract(epoch FROM range_end)::bigint
FROM sensors.dropped
WHERE range_start < %(end)s AND range_end > %(begin)s
"""


@dataclass
class Report:
    """What a comparison found."""

    tallies: dict[str, Counter[Outcome]] = field(
        default_factory=lambda: {name: Counter() for name in PERIODS}
    )
    """How many buckets of each period came out how."""
    differences: list[Difference] = field(default_factory=list)
    """The first SHOWN of them."""
    series: int = 0
    unknown: dict[Series, int] = field(default_factory=dict)
    """What the lake has and the database never heard of: readings by sensor and type."""

    @property
    def different(self) -> bool:
        """Whether anything differs."""
        return any(tally["different"] for tally in self.tallies.values())

    @property
    def compared(self) -> bool:
        """Whether anything was compared at all."""
        return any(tally["equal"] or tally["different"] for tally in self.tallies.values())

    def lines(self) -> Iterator[str]:
        """Yield the report as text, line by line."""
        outcomes = get_args(Outcome)
        yield f"{'period':<8} {' '.join(f'{name:>9}' for name in outcomes)}   of {self.series} series"
        for period, tally in self.tallies.items():
            yield f"{period:<8} {' '.join(f'{tally[name]:>9}' for name in outcomes)}"
        if self.unknown:
            readings = sum(self.unknown.values())
            yield f"left out: {readings} readings of {len(self.unknown)} series unknown to the database"
        for difference in self.differences:
            begin = datetime.fromtimestamp(difference.bucket, UTC)
            yield f"{difference.period} {begin:%Y-%m-%dT%H:%MZ} {' '.join(difference.series)}"
            yield f"    lake     {_text(difference.lake)}"
            yield f"    database {_text(difference.database)}"
        more = sum(tally["different"] for tally in self.tallies.values()) - len(self.differences)
        if more:
            yield f"and {more} more"
        if not self.compared:
            yield "nothing was compared"


def _text(aggregate: Aggregate | None) -> str:
    if aggregate is None:
        return "nothing"
    return " ".join(f"{name}={value}" for name, value in aggregate._asdict().items())


class Kept:
    """The database's side, in one transaction."""

    def __init__(self, connection: Any, topic: str, period: Period) -> None:  # noqa: ANN401 - no types
        """Prepare; `connection` is psycopg2's."""
        self._connection = connection
        self._values = {"topic": topic, "begin": period.begin, "end": period.end}

    def rows(self, statement: str, **values: object) -> list[Any]:
        """Return the rows of a statement about the period and topic."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, {**self._values, **values})
            return list(cursor.fetchall())

    def ledger(self) -> lake.Offsets:
        """Return how far the database has come."""
        return dict(self.rows(_LEDGER))

    def known(self) -> set[str]:
        """Return all sensors that the database ever heard of and still counts."""
        return {sensor_id for (sensor_id,) in self.rows(_KNOWN)}

    def series(self) -> list[Series]:
        """Return whose aggregates there are in the period."""
        return [(sensor_id, kind) for sensor_id, kind in self.rows(_SERIES)]

    def aggregates(self, series: Series, period: str) -> dict[int, Aggregate]:
        """Return the rows of one of the views for a series."""
        found = self.rows(_AGGREGATES.format(period), sensor=series[0], type=series[1])
        return {bucket: Aggregate(*row) for bucket, *row in found}

    def anomalies(self) -> dict[Series, dict[int, int]]:
        """Return how many anomalies there are, by series and minute."""
        found: dict[Series, dict[int, int]] = defaultdict(dict)
        for sensor_id, kind, minute, count in self.rows(_ANOMALIES):
            found[sensor_id, kind][minute] = count
        return found

    def dropped(self) -> dict[str, Ranges]:
        """Return what the lifecycle dropped of the period, by hypertable."""
        found: dict[str, Ranges] = defaultdict(tuple)
        for kind, begin, end in self.rows(_DROPPED):
            found[kind] += ((begin, end),)
        return found

    def moving(self, offsets: lake.Offsets) -> dict[Series, set[int]]:
        """Return the minutes with readings at `offsets` or above, where the lake has not come yet."""
        found: dict[Series, set[int]] = defaultdict(set)
        places = {"partitions": list(offsets), "offsets": list(offsets.values())}
        for sensor_id, kind, minute in self.rows(_MOVING, **places):
            found[sensor_id, kind].add(minute)
        return found


def both(one: lake.Offsets, other: lake.Offsets) -> lake.Offsets:
    """Return how far two ledgers have come together; a partition that one of them lacks is left out."""
    return {
        partition: min(offset, other[partition]) for partition, offset in one.items() if partition in other
    }


def lake_statement(table: str, offsets: lake.Offsets) -> str:
    """Return the query of the lake's values below `offsets`: how often each, by series and minute, sorted.

    Its parameters are `begin` and `end`. Grouping by value first leaves few rows: sensors repeat themselves.
    """
    below = " OR ".join(
        f"(source_partition = {partition} AND source_offset < {offset})"
        for partition, offset in sorted(offsets.items())
    )
    # Of equal identities the first wins, so what is above the offsets may go before they are told apart.
    seen = (
        f"(SELECT * FROM {table} WHERE event_time >= :begin AND event_time < :end AND ({below or 'false'}))"  # noqa: S608 - our own text
    )
    return (
        "SELECT sensor_id, type, unix_seconds(date_trunc('MINUTE', event_time)) AS bucket, value, "  # noqa: S608 - as above
        f"count(*) AS readings FROM ({lake.distinct_readings(seen)}) "
        "GROUP BY sensor_id, type, bucket, value ORDER BY sensor_id, type"
    )


def lake_values(spark: Any, table: str, offsets: lake.Offsets, period: Period) -> Iterator[Repeated]:  # noqa: ANN401 - pyspark
    """Yield what the lake has of a period below `offsets`."""
    arguments = {"begin": period.begin, "end": period.end}
    rows = spark.sql(lake_statement(table, offsets), args=arguments).toLocalIterator()
    return (Repeated(*row) for row in rows)


def contrast(values: Iterable[Repeated], database: Kept, moving: Mapping[Series, set[int]]) -> Report:
    """Compare the lake's values, sorted, with the database."""
    report = Report()
    known, left, anomalies = database.known(), set(database.series()), database.anomalies()
    dropped = database.dropped()

    def one(series: Series, minutes: Mapping[int, Any]) -> None:
        report.series += 1
        for period, seconds in PERIODS.items():
            kept = database.aggregates(series, period)
            added = roll_up(minutes, anomalies.get(series, {}), seconds)
            added = with_counts_of(added, kept, dropped["anomalies"])
            gone = dropped[f"sums_{period}"]
            for bucket, outcome in compare(seconds, added, kept, moving.get(series, ()), gone):
                report.tallies[period][outcome] += 1
                if outcome == "different" and len(report.differences) < SHOWN:
                    report.differences.append(
                        Difference(period, series, bucket, added.get(bucket), kept.get(bucket))
                    )

    for series, minutes in add_up(values):
        if series[0] in known:
            one(series, minutes)
            left.discard(series)
        else:
            report.unknown[series] = sum(sums.readings for sums in minutes.values())
    for series in sorted(left):
        one(series, {})
    return report


def recompute(spark: Any, settings: MaintenanceSettings, period: Period) -> Report:  # noqa: ANN401 - pyspark
    """Compare the aggregates of a period of whole hours; LedgerError where the lake's ledger isn't sure."""
    ledger = LakeTable(spark, settings.lake, settings.topic).ledger()
    connection = psycopg2.connect(
        **settings.postgres.connect_arguments("sensors-batch"), options="-c timezone=UTC -c jit=off"
    )
    # All of it as it is at one moment, however long this takes.
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with closing(connection):
        database = Kept(connection, settings.topic, period)
        offsets = both(ledger.to, database.ledger()) if ledger else {}
        sys.stdout.write(f"{period.begin:%Y-%m-%dT%H:%MZ} to {period.end:%Y-%m-%dT%H:%MZ}, below {offsets}\n")
        return contrast(
            lake_values(spark, settings.lake.name, offsets, period), database, database.moving(offsets)
        )
