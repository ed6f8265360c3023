"""Rules that go by a profile: what is unusual for a sensor at this hour of the day (docs/batch.md).

They are applied in the executors' Python workers, a record batch at a time, and not as Spark SQL: each
second's plan would have to carry the bounds of every sensor and hour. A worker reads them once for each
version of the rules instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sensors_job.judge.rules import concerns, copy_field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensors_job.judge.rules import Rule, Unusual

PROFILE = "SELECT sensor_id, type, hour, centre, spread FROM sensors.profiles WHERE version = %s"

# The process's judge; its worker lives from batch to batch.
_kept: dict[Unusual, Judge] = {}


class Usual(NamedTuple):
    """A row of sensors.profiles: centre and spread in the unit of the type, `hour` in UTC."""

    sensor_id: str
    type: str
    hour: int
    centre: float
    spread: float


class Bounds(NamedTuple):
    """What one rule allows: arrays of keys (sensor id/type/hour), and between which values all is well."""

    rule: Rule
    keys: Any
    low: Any
    high: Any


def bounds(rule: Rule, profile: Iterable[Usual]) -> Bounds:
    """Return what `rule` allows each sensor of `profile` that it concerns, at each hour."""
    rows = [row for row in profile if row.type == rule.type and concerns(rule, row.sensor_id)]
    return Bounds(
        rule,
        pa.array([f"{row.sensor_id}/{row.type}/{row.hour}" for row in rows], pa.string()),
        pa.array([row.centre - rule.threshold * row.spread for row in rows], pa.float64()),
        pa.array([row.centre + rule.threshold * row.spread for row in rows], pa.float64()),
    )


class Judge:
    """Applies the rules of one version to record batches."""

    def __init__(self, unusual: Unusual, profile: Iterable[Usual]) -> None:
        """Compute the bounds of every rule."""
        rows = list(profile)
        self._version = unusual.rules_version
        self._bounds = [bounds(rule, rows) for rule in unusual.rules]

    def lines(self, batch: Any) -> list[Any]:  # noqa: ANN401 - pyarrow has no types
        """Return COPY lines for stage_anomalies: a string array for each rule that flags any of `batch`.

        Of validation.sink_columns it needs sensor_id, type, offset, facts, reading and hour; the last three
        are null for a rejected row. A reading whose sensor or hour the profile lacks is not judged.
        """
        names = [batch.column("sensor_id"), batch.column("type"), pc.cast(batch.column("hour"), pa.string())]
        keys = pc.binary_join_element_wise(*names, "/")
        found = (self._flagged(rule, keys, batch) for rule in self._bounds)
        return [lines for lines in found if len(lines)]

    def _flagged(self, allowed: Bounds, keys: Any, batch: Any) -> Any:  # noqa: ANN401 - as above
        places = pc.index_in(keys, value_set=allowed.keys)
        known = pc.is_valid(places)
        rows = pa.table({name: batch.column(name) for name in ("facts", "reading", "offset")}).filter(known)
        places = places.filter(known)
        low, high, reading = allowed.low.take(places), allowed.high.take(places), rows["reading"]
        under = pc.less(reading, low)
        flagged = pc.or_(under, pc.greater(reading, high))
        crossed = pc.if_else(under, low, high).filter(flagged)
        rows = rows.filter(flagged)
        fields = [
            rows["facts"],
            copy_field(allowed.rule.rule_id),
            copy_field(allowed.rule.severity),
            pc.cast(crossed, pa.string()),
            str(self._version),
            pc.cast(rows["offset"], pa.string()),
        ]
        lines = pc.binary_join_element_wise(*fields, "\t")
        # Joined with nothing by a line feed, each of them ends with one.
        return pc.binary_join_element_wise(lines, "", "\n").combine_chunks()


def judge(cursor: Any, unusual: Unusual) -> Judge:  # noqa: ANN401 - psycopg2 has no types
    """Return the judge of one version of the rules; its profile is read at the first call in a process."""
    if unusual not in _kept:
        cursor.execute(PROFILE, (unusual.profile_version,))
        made = Judge(unusual, map(Usual._make, cursor))
        _kept.clear()
        _kept[unusual] = made
    return _kept[unusual]
