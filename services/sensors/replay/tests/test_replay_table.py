"""Reading the weather table: units, missing values, order, and every mistake told with its line."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors_replay.table import Observation, TableError, celsius, parse_table, read_table

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "origin,year,month,day,hour,temp,dewp,pressure,visib,time_hour"
# The night in which summer time ends: local 1 o'clock comes twice. Values are those of the real table.
ROWS = """\
EWR,2013,11,3,1,51.98,0,1009.8,10,2013-11-03T05:00:00Z
EWR,2013,11,3,1,50,0,1010.5,10,2013-11-03T06:00:00Z
EWR,2013,11,3,4,50,0,NA,10,2013-11-03T09:00:00Z
JFK,2013,11,3,1,NA,0,1e3,10,2013-11-03T06:00:00Z
"""


def lines(rows: str = ROWS, header: str = HEADER) -> list[str]:
    return [header, *rows.splitlines()]


def row(**changes: str) -> str:
    values = {"origin": "LGA", "temp": "32", "pressure": "NA", "time_hour": "2013-11-03T05:00:00Z"} | changes
    return "{origin},2013,11,3,1,{temp},0,{pressure},10,{time_hour}".format(**values)


def test_hours_follow_each_other_and_what_is_missing_is_skipped() -> None:
    table = parse_table(lines())
    assert table.start == datetime(2013, 11, 3, 5, tzinfo=UTC)
    assert table.hours == (
        (Observation("ewr", "temperature", 11.1), Observation("ewr", "pressure", 1009.8)),
        (
            Observation("ewr", "temperature", 10.0),
            Observation("ewr", "pressure", 1010.5),
            Observation("jfk", "pressure", 1000.0),
        ),
        (),
        (),
        (Observation("ewr", "temperature", 10.0),),
    )


def test_the_order_of_rows_does_not_matter() -> None:
    assert parse_table(lines("\n".join(reversed(ROWS.splitlines())))) == parse_table(lines())


@pytest.mark.parametrize(
    ("fahrenheit", "expected"),
    [("32", 0.0), ("212", 100.0), ("-40", -40.0), ("39.02", 3.9), ("100.04", 37.8), ("31.995", 0.0)],
)
def test_known_temperatures(fahrenheit: str, expected: float) -> None:
    assert celsius(Decimal(fahrenheit)) == expected
    assert str(celsius(Decimal(fahrenheit)))[:2] != "-0" or expected < 0


def test_a_half_goes_to_the_even_step() -> None:
    assert [celsius(Decimal(text)) for text in ("32.009", "32.027", "32.045")] == [0.0, 0.02, 0.02]


@given(st.decimals(-200, 200, places=3))
def test_celsius_is_the_nearest_step(fahrenheit: Decimal) -> None:
    exact = (Fraction(fahrenheit) - 32) * Fraction(5, 9)
    assert celsius(fahrenheit) == float(round(exact * 100) / Fraction(100))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("", "there is no observation in it"),
        (row(temp="NA"), "there is no observation in it"),
        (row(temp="warm"), "line 2: expected a number or NA as temp, got 'warm'"),
        (row(temp="nan"), "line 2: expected a number or NA as temp, got 'nan'"),
        (row(pressure="1e999"), "line 2: expected a number or NA as pressure, got '1e999'"),
        (row() + "\n" + row(), "line 3: the station lga has another row for 2013-11-03T05:00:00Z"),
        (row(time_hour="2013-11-03T05:30:00Z"), "line 2: expected a whole hour like .*, got .*05:30:00Z'"),
        (row(time_hour="2013-11-03T05:00:00"), "line 2: expected a whole hour like .*, got .*05:00:00'"),
        (row(origin="New York"), "line 2: expected a station like EWR, got 'New York'"),
        (
            "LGA,2013,11,3,1,32",
            "line 2: expected a number or NA as pressure, got None|whole hour .*, got None",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(rows: str, told: str) -> None:
    with pytest.raises(TableError, match=told):
        parse_table(lines(rows))


def test_an_absent_column_and_the_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weather.csv"
    path.write_text("origin,temp\nEWR,32\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"weather\.csv: there is no column pressure, time_hour"):
        read_table(path)
    path.write_text("\n".join(lines()), encoding="utf-8")
    assert len(read_table(path).hours) == 5
