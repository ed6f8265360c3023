"""What the driver itself asks the database: ledger and backfill at the start, the rules before each batch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg2

from sensors_job import kafka_source
from sensors_job.judge.rules import RuleSet, parse_rules
from sensors_job.store.database import transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

_NEW = "INSERT INTO sensors.ledger (topic, partition, next_offset) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_READ = "SELECT partition, next_offset FROM sensors.ledger WHERE topic = %s"
_RULES = "SELECT version, rules, profile_version FROM sensors.rule_versions ORDER BY version DESC LIMIT 1"
_BACKFILL = "SELECT sensors.backfill_sums()"


class OffsetError(RuntimeError):
    """The topic no longer has the offset that the ledger wants; going on would lose messages unsaid."""


def read_rules(database: Mapping[str, Any]) -> RuleSet:
    """Return the newest version of the anomaly rules; LookupError if there is none."""
    try:
        row = _newest(database)
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        # The kept connection has gone, as after a restart of the database: once more with a new one.
        log.warning("reading the rules failed, trying again", extra={"fields": {"error": str(error)}})
        row = _newest(database)
    if row is None:
        message = "sensors.rule_versions is empty; were the migrations applied?"
        raise LookupError(message)
    return parse_rules(*row)


def _newest(database: Mapping[str, Any]) -> tuple[int, Any, int | None] | None:
    with transaction(database, stages=False) as connection, connection.cursor() as cursor:
        cursor.execute(_RULES)
        row: tuple[int, Any, int | None] | None = cursor.fetchone()
        return row


def backfill_aggregates(database: Mapping[str, Any]) -> int:
    """Add up the readings from before there were aggregates, once ever; return the minutes written."""
    with transaction(database, stages=False) as connection, connection.cursor() as cursor:
        cursor.execute(_BACKFILL)
        return int(cursor.fetchone()[0])


def starting_offsets(
    database: Mapping[str, Any], topic: str, available: Mapping[int, tuple[int, int]]
) -> dict[int, int]:
    """Return the next offset of each partition of `topic`, from the ledger; new partitions get a row first.

    `available` maps each partition to its earliest offset and its end. OffsetError where the ledger's next
    offset lies outside: the messages have expired, or the topic was made anew.
    """
    with transaction(database, stages=False) as connection, connection.cursor() as cursor:
        for partition, (earliest, _) in sorted(available.items()):
            cursor.execute(_NEW, (topic, partition, earliest))
        cursor.execute(_READ, (topic,))
        ledger = {partition: offset for partition, offset in cursor.fetchall() if partition in available}
    message = kafka_source.unreachable("ledger", topic, ledger, available)
    if message is not None:
        raise OffsetError(message)
    return ledger
