"""Writes old readings straight into the lake, past the job, which takes none that are older than 30 days."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import probe

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# Runs with the account, environment and settings of sensors-lake, whose wrapper for root knows them all. What
# it commits has no offsets, as a compaction has none: the ledger is read from the snapshots before it.
SCRIPT = """
import json, sys
from datetime import datetime
from pathlib import Path
from millrace_common.config import load_config
from sensors_job.lake import command as lake_command, rules as lake
given = json.loads(GIVEN)
settings = load_config(Path(sys.argv[1]), lake_command.MaintenanceSettings)
spark = lake_command.build_session(settings, lake_command.LOCAL)
name = settings.lake.name
for day in given["empty"]:
    args = {"day": datetime.fromisoformat(day)}
    where = f"FROM {name} WHERE event_time >= :day AND event_time < :day + INTERVAL 1 DAY"
    ids = [row.sensor_id for row in spark.sql(f"SELECT DISTINCT sensor_id {where}", args=args).collect()]
    if not all(sensor.startswith("test-") for sensor in ids):
        sys.exit(f"{day} has readings that are no test's: {ids}")
    # A whole day is a whole partition: its files are unlinked, and none is written anew.
    if ids:
        spark.sql(f"DELETE {where}", args=args)
if given["rows"]:
    rows = [
        (datetime.fromisoformat(time), sensor, kind, value, 0, 0, datetime.fromisoformat(time))
        for time, sensor, kind, value in given["rows"]
    ]
    frame = spark.createDataFrame(rows, lake.SCHEMA.replace(" NOT NULL", ""))
    frame.coalesce(1).writeTo(name).option("fanout-enabled", "true").append()
spark.stop()
"""
# Standard input is the script, so it is the wrapper's text that must be its own argument.
WRAPPER = 'eval "$(sed "s#/bin/sensors-lake --config#/bin/python -#" /usr/local/sbin/sensors-lake)"'


def _run(**given: object) -> None:
    script = f"GIVEN = {json.dumps(given)!r}\n{SCRIPT}"
    remote.run(probe.APPS, ["sudo", "sh", "-c", WRAPPER], stdin=script)


def add(rows: Iterable[tuple[datetime, str, str, float]]) -> None:
    """Append readings as (event time, sensor id, type, value)."""
    _run(rows=[(time.isoformat(), *others) for time, *others in rows], empty=[])


def empty(days: Iterable[datetime]) -> None:
    """Delete days that have readings of tests alone; CommandError for a day with others."""
    _run(rows=[], empty=[day.isoformat() for day in days])
