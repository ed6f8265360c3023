"""The command `sensors-batch`: aggregates and profiles from the lake's whole past; docs/batch.md."""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from millrace_common.logs import fields, setup_logging
from millrace_common.service import run_command
from sensors_job.batch.history import Period, parse_time
from sensors_job.batch.profile import Limits, learn, write
from sensors_job.batch.recompute import recompute
from sensors_job.lake import command as lake_command
from sensors_job.lake.command import MaintenanceSettings

if TYPE_CHECKING:
    import threading

log = logging.getLogger(__name__)

DAY = timedelta(days=1)


def parse_hour(text: str) -> datetime:
    """Return a time at a whole hour; ValueError."""
    time = parse_time(text)
    if time != time.replace(minute=0, second=0, microsecond=0):
        message = f"{text} is no whole hour"
        raise ValueError(message)
    return time


def parse_day(text: str) -> datetime:
    """Return the beginning of a day (UTC); ValueError."""
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


def parse_count(text: str) -> int:
    """Return a whole number of 1 or more; ValueError."""
    if (count := int(text)) < 1:
        message = f"{text} is less than 1"
        raise ValueError(message)
    return count


def parse_spread(text: str) -> float:
    """Return a finite number above 0; ValueError."""
    if not 0 < (spread := float(text)) < float("inf"):
        message = f"{text} is no spread"
        raise ValueError(message)
    return spread


def chosen_period(options: argparse.Namespace) -> Period:
    """Return what --day or --from and --to name; ValueError where they name nothing."""
    if options.day is not None:
        if options.begin is not None or options.end is not None:
            message = "give either --day or --from and --to"
            raise ValueError(message)
        return Period(options.day, options.day + DAY)
    if options.begin is None:
        message = "give --day or --from"
        raise ValueError(message)
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    period = Period(options.begin, options.end or this_hour)
    if period.begin >= period.end:
        message = f"nothing lies between {period.begin:%Y-%m-%dT%H:%MZ} and {period.end:%Y-%m-%dT%H:%MZ}"
        raise ValueError(message)
    return period


def run_recompute(period: Period, settings: MaintenanceSettings, _stop: threading.Event) -> int:
    """Compare; return 1 if anything differs, or nothing could be compared."""
    # Standard output is for the report.
    setup_logging(settings.log_level, sys.stderr)
    with lake_command.session(settings, lake_command.LOCAL) as spark:
        report = recompute(spark, settings, period)
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 1 if report.different or not report.compared else 0


def run_profile(options: argparse.Namespace, settings: MaintenanceSettings, _stop: threading.Event) -> int:
    """Learn a profile and write it; return 0, also where the lake has too little to learn from."""
    end = datetime.now(UTC)
    period, limits = Period(end - options.days * DAY, end), Limits(options.minimum, options.floor)
    name = settings.lake.name
    with lake_command.session(settings, None if options.cluster else lake_command.LOCAL) as spark:
        rows = learn(spark, name, period, limits) if spark.catalog.tableExists(name) else []
    learned = write(settings, rows, period, limits)
    if learned is None:
        log.info("no hour of any sensor has enough readings", extra=fields(minimum=limits.minimum))
        return 0
    sensors = {row.sensor_id for row in learned.rows}
    told = {"version": learned.version, "sensors": len(sensors), "hours": len(learned.rows)}
    log.info("wrote a profile", extra=fields(**told, unknown_sensors=len(learned.unknown)))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line, besides what all services have."""
    arguments = argparse.ArgumentParser("sensors-batch", description="Compute over the lake's whole past.")
    commands = arguments.add_subparsers(dest="command", required=True)
    again = commands.add_parser(
        "recompute", help="add up aggregates again and compare them with the database's"
    )
    again.add_argument("--day", type=parse_day, metavar="YYYY-MM-DD", help="a day (UTC)")
    again.add_argument("--from", dest="begin", type=parse_hour, metavar="TIME", help="a whole hour, or a day")
    again.add_argument(
        "--to", dest="end", type=parse_hour, metavar="TIME", help="until before; this hour without it"
    )
    profile = commands.add_parser("profile", help="learn the baseline of each sensor at each hour")
    profile.add_argument("--days", type=parse_count, default=7, help="from the readings of so many days (7)")
    profile.add_argument(
        "--minimum",
        type=parse_count,
        default=Limits.minimum,
        metavar="READINGS",
        help="that an hour needs in all",
    )
    profile.add_argument(
        "--floor",
        type=parse_spread,
        default=Limits.floor,
        metavar="UNITS",
        help="the least spread of any sensor",
    )
    profile.add_argument("--cluster", action="store_true", help="compute on the Spark cluster, not here")
    return arguments


def run(
    own: argparse.ArgumentParser,
    options: argparse.Namespace,
    settings: MaintenanceSettings,
    stop: threading.Event,
) -> int:
    """Do what the command line, which `own` has read, asks for; SystemExit(2) where that names no period."""
    if options.command == "profile":
        return run_profile(options, settings, stop)
    try:
        period = chosen_period(options)
    except ValueError as error:
        own.error(str(error))
    return run_recompute(period, settings, stop)


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 on failure or where aggregates differ, 2 if it was called wrongly."""
    own = parser()
    return run_command(own, MaintenanceSettings, partial(run, own), arguments)


def scheduled(arguments: list[str] | None = None) -> int:
    """Learn a profile on the cluster, as the timer has it."""
    given = sys.argv[1:] if arguments is None else arguments
    return main([*given, "profile", "--cluster"])
