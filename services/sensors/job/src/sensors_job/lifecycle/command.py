"""The command `sensors-lifecycle`, which a timer runs: enforces retention.

Readings go only where the lake holds them: what it holds is recorded first, and the database drops a chunk
only while, under a lock, its rows are still just that.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping  # noqa: TC003 - load_config reads the annotations at run time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from millrace_common.config import ConfigError, setting
from millrace_common.logs import fields
from millrace_common.postgres import PostgresSettings  # noqa: TC001 - load_config reads the annotations
from millrace_common.service import run_service
from sensors_job.config import LakeSettings, Limits
from sensors_job.lake import command as lake_command
from sensors_job.lifecycle import policy as lifecycle
from sensors_job.lifecycle import stores as lifecycle_stores
from sensors_job.lifecycle.policy import READINGS, Digest, Group, PolicyError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from sensors_job.lifecycle.policy import Chunk
    from sensors_job.lifecycle.stores import Database

    Held = Callable[[Chunk], Mapping[Group, Digest]]

log = logging.getLogger(__name__)

SHOWN = 20
"""So many groups of a chunk that differs stand in the log."""


@dataclass(frozen=True)
class LifecycleSettings:
    """All settings of the lifecycle; how long what is kept stands in the database, in sensors.lifecycle."""

    postgres: PostgresSettings
    lake: LakeSettings | None = None
    """None where there is none: then readings are kept for ever, unless drop_unverified says otherwise."""
    drop_unverified: bool = False
    """Whether readings are deleted by age alone where there is no lake."""
    limits: Limits = field(default_factory=Limits)
    """The job's own: how late a reading may be when the broker takes it."""
    max_wait_seconds: int = setting(14 * 86_400, minimum=0)
    """How long a message may then wait in the topic for the job: its retention, and a segment's age more."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    spark: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold the keys against one another."""
        if self.lake is not None and self.drop_unverified:
            message = "drop_unverified: is for an environment without a lake, and this one has one"
            raise ConfigError(message)

    @property
    def late(self) -> timedelta:
        """How long after its event time a reading may be stored at the latest."""
        return timedelta(seconds=self.limits.max_past_seconds + self.max_wait_seconds)


def clean(database: Database, settings: LifecycleSettings) -> bool:
    """Enforce retention; tell whether all that was due could go. PolicyError before anything has."""
    policies = database.policies()
    if refused := lifecycle.refusals(policies, settings.late):
        message = "nothing is deleted, sensors.lifecycle must be changed: " + "; ".join(refused)
        raise PolicyError(message)
    due = lifecycle.due(policies, database.chunks())
    for chunk in due:
        if chunk.kind != READINGS:
            database.drop_old(chunk)
            log.info("dropped", extra=fields(**chunk._asdict()))
    readings = [chunk for chunk in due if chunk.kind == READINGS]
    if not readings:
        log.info("no readings are past their time")
        return True
    if settings.lake is None and not settings.drop_unverified:
        log.info("readings are kept, as there is no lake", extra=fields(chunks=len(readings)))
        return True
    with opened_lake(settings) as held:
        kept = [chunk for chunk in readings if not drop(database, chunk, held)]
    if kept:
        log.error("chunks of readings are kept", extra=fields(chunks=len(kept), of=len(readings)))
    return not kept


def drop(database: Database, chunk: Chunk, held: Held | None) -> bool:
    """Drop a chunk of readings if `held` holds each of them (None: without asking); tell whether it went."""
    stored = database.digests(chunk)
    found = stored if held is None else held(chunk)
    if explain(chunk, lifecycle.differences(stored, found)):
        return False
    verified = lifecycle.total(found[group] for group in stored)
    database.record(chunk, verified, "nothing" if held is None else "lake")
    if database.drop_verified(chunk):
        log.info("dropped", extra=fields(**chunk._asdict(), readings=verified.readings))
        return True
    # What it is now may be held all the same, and then goes the next time.
    log.error("a chunk has changed while it was verified, and is kept", extra=fields(**chunk._asdict()))
    explain(chunk, lifecycle.differences(database.digests(chunk), found))
    return False


def explain(chunk: Chunk, differences: Sequence[lifecycle.Difference]) -> bool:
    """Log what the lake lacks of a chunk; tell whether it lacks anything."""
    if differences:
        shown = [str(difference) for difference in differences[:SHOWN]]
        log.error(
            "the lake lacks readings of a chunk, which is kept",
            extra=fields(**chunk._asdict(), groups=len(differences), first=shown),
        )
    return bool(differences)


@contextmanager
def opened_lake(settings: LifecycleSettings) -> Iterator[Held | None]:
    """Yield the function that says what the lake holds of a chunk; None where there is no lake."""
    if settings.lake is None:
        yield None
        return
    maintenance = lake_command.MaintenanceSettings(settings.lake, settings.postgres, spark=settings.spark)
    name = settings.lake.name
    with lake_command.session(maintenance, lake_command.LOCAL) as spark:
        yield lambda chunk: lifecycle_stores.lake_digests(spark, name, chunk)


def run(settings: LifecycleSettings, _stop: threading.Event) -> int:
    """Enforce retention once; return 0, or 1 if readings had to be kept."""
    arguments = settings.postgres.connect_arguments("sensors-lifecycle")
    with lifecycle_stores.database(arguments) as database:
        return 0 if clean(database, settings) else 1


def main(arguments: list[str] | None = None) -> int:
    """Enforce retention; 1 on failure or if something was kept, 2 if it was called wrongly."""
    return run_service("sensors-lifecycle", "Enforce retention.", LifecycleSettings, run, arguments)
