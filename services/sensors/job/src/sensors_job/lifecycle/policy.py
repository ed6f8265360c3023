"""Retention: what is due, what may not be deleted yet, and whether the lake holds it: rules without I/O.

docs/data-lifecycle.md, "Deletion", has the argument.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

READINGS = "measurements"
MINUTES = ("measurements", "anomalies", "sums_1m")
"""What a late reading's minute is computed from, and where it is kept: none of it may go before that time."""


class Policy(NamedTuple):
    """How long one kind of data is kept, as the database says at `now`; null in `cutoff`: for ever.

    Chunks that end at `cutoff` or before are past their time; each spans `interval`.
    """

    kind: str
    now: datetime
    cutoff: datetime | None
    interval: timedelta


class Chunk(NamedTuple):
    """A part of a hypertable: the rows of `kind` from `begin` until before `end`."""

    kind: str
    begin: datetime
    end: datetime


class Group(NamedTuple):
    """The readings of one sensor and type in the hour that begins `hour` seconds after 1970."""

    sensor_id: str
    type: str
    hour: int


class Digest(NamedTuple):
    """How many readings, and the sum of a hash of each one."""

    readings: int
    digest: int


class Difference(NamedTuple):
    """A group that the lake does not hold as the database does; None: not at all."""

    group: Group
    database: Digest
    lake: Digest | None

    def __str__(self) -> str:
        """Return a line for the log."""
        hour = datetime.fromtimestamp(self.group.hour, UTC)
        held = 0 if self.lake is None else self.lake.readings
        which = f"{self.group.sensor_id} {self.group.type} {hour:%Y-%m-%dT%H}"
        return f"{which}: {self.database.readings} in the database, {held} in the lake" + (
            ", of other values or times" if held == self.database.readings else ""
        )


class PolicyError(RuntimeError):
    """What sensors.lifecycle wants would make aggregates wrong, so nothing is deleted."""


def refusals(policies: Iterable[Policy], late: timedelta) -> list[str]:
    """Return why nothing may be deleted by these policies, a line for each; none if all is well.

    A reading may come up to `late` after its event time, and its minute is then computed anew from all raw
    rows of that minute. So rows and minutes must stay that long, and for a chunk more.
    """
    lines = []
    for policy in sorted(policies):
        least = late + policy.interval
        if policy.kind in MINUTES and policy.cutoff is not None and policy.cutoff > policy.now - least:
            lines.append(
                f"{policy.kind}: drop_after is {policy.now - policy.cutoff}, but readings may come {late} "
                f"after their time, and chunks span {policy.interval}: it must be {least} or more"
            )
    return lines


def due(policies: Iterable[Policy], chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return the chunks that are past their time, the oldest of each kind first."""
    cutoffs = {policy.kind: policy.cutoff for policy in policies}
    found = []
    for chunk in chunks:
        cutoff = cutoffs.get(chunk.kind)
        if cutoff is not None and chunk.end <= cutoff:
            found.append(chunk)
    return sorted(found)


def differences(database: Mapping[Group, Digest], lake: Mapping[Group, Digest]) -> list[Difference]:
    """Return the groups of the database that the lake does not hold just so, sorted.

    What the lake has beyond them is no hindrance: the readings of tests, which the database no longer has.
    """
    return [
        Difference(group, digest, lake.get(group))
        for group, digest in sorted(database.items())
        if lake.get(group) != digest
    ]


def total(digests: Iterable[Digest]) -> Digest:
    """Return what groups come to together."""
    listed = list(digests)
    return Digest(sum(one.readings for one in listed), sum(one.digest for one in listed))
