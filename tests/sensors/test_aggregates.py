"""Aggregates are what the raw rows add up to: those of every sensor that the platform ever heard of."""

from __future__ import annotations

import probe
import pytest

pytestmark = pytest.mark.lab


def test_every_minute_is_what_its_raw_rows_add_up_to() -> None:
    # One statement sees one moment, so the readings that keep coming do no harm.
    assert probe.query("SELECT * FROM sensors.wrong_1m LIMIT 20") == []


def test_every_stored_reading_is_in_the_aggregates_of_each_period() -> None:
    # Readings and minutes are kept for different times: they are compared where neither was dropped.
    kept = "NOT {} <@ (SELECT ranges FROM sensors.dropped_1m)"
    totals = probe.query(
        f"SELECT (SELECT count(*) FROM sensors.measurements WHERE {kept.format('event_time')}) AS raw, "  # noqa: S608 - our own text
        f"(SELECT sum(readings) FROM sensors.aggregates_1m WHERE {kept.format('bucket')}) AS minutes, "
        "(SELECT sum(readings) FROM sensors.aggregates_1m) AS all_minutes, "
        "(SELECT coalesce(sum(readings), 0) FROM sensors.sums_10m) AS past_tens, "
        "(SELECT coalesce(sum(readings), 0) FROM sensors.sums_1h) AS past_hours, "
        "(SELECT sum(readings) FROM sensors.aggregates_10m) AS tens, "
        "(SELECT sum(readings) FROM sensors.aggregates_1h) AS hours"
    )[0]
    assert totals["raw"] > 0
    assert totals["minutes"] == totals["raw"]
    assert totals["tens"] == totals["all_minutes"] + totals["past_tens"]
    assert totals["hours"] == totals["all_minutes"] + totals["past_hours"]
