"""Aggregates are what the raw rows add up to: those of every sensor that the platform ever heard of."""

from __future__ import annotations

import probe
import pytest

pytestmark = pytest.mark.lab


def test_every_minute_is_what_its_raw_rows_add_up_to() -> None:
    # One statement sees one moment, so the readings that keep coming do no harm.
    assert probe.query("SELECT * FROM sensors.wrong_1m LIMIT 20") == []


def test_every_stored_reading_is_in_the_aggregates_of_each_period() -> None:
    totals = probe.query(
        "SELECT (SELECT count(*) FROM sensors.measurements) AS raw, "
        "(SELECT sum(readings) FROM sensors.aggregates_1m) AS minutes, "
        "(SELECT sum(readings) FROM sensors.aggregates_10m) AS tens, "
        "(SELECT sum(readings) FROM sensors.aggregates_1h) AS hours"
    )[0]
    assert totals["raw"] > 0
    assert set(totals.values()) == {totals["raw"]}
