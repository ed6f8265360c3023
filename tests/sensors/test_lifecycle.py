"""Retention deletes what is due, readings only where the lake holds them, and longer periods stay.

On days 300 and 301 days ago, which only this test has readings of: past the time of readings and minutes, and
of nothing else. The policies stay as they are, but for the moment in which one is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import lake
import lake_rows
import probe
import pytest
import stored

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensors_oracle.aggregates import Key

pytestmark = pytest.mark.lab

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = [TODAY - timedelta(days=days) for days in (301, 300)]
TYPE = "voltage"
PAST = """
SELECT c.hypertable_name, c.range_start::text FROM timescaledb_information.chunks c
JOIN sensors.lifecycle l ON c.hypertable_schema = 'sensors' AND c.hypertable_name = l.kind
WHERE c.range_end <= now() - l.drop_after
"""
CHUNKS = " OR ".join(f"('{day}' >= c.range_start AND '{day}' < c.range_end)" for day in DAYS)
# Only chunks that have nothing left in them.
CLEAN = """
DO $$
DECLARE
    chunk record;
    rows bigint;
BEGIN
    FOR chunk IN SELECT c.* FROM timescaledb_information.chunks c
            WHERE c.hypertable_schema = 'sensors' AND ({chunks}) LOOP
        EXECUTE format('SELECT count(*) FROM %I.%I', chunk.chunk_schema, chunk.chunk_name) INTO rows;
        IF rows = 0 THEN
            EXECUTE format('DROP TABLE %I.%I', chunk.chunk_schema, chunk.chunk_name);
        END IF;
    END LOOP;
END $$;
"""


class Old:
    """A sensor with readings on both days, in the database."""

    def __init__(self, prefix: str) -> None:
        """Store readings, and the minutes that the job would have made of them."""
        self.prefix = prefix
        self.in_lake = False
        self.sensor = f"{prefix}-{TYPE}"
        self.rows = [
            (
                day + timedelta(hours=10, minutes=7 * step, microseconds=step),
                self.sensor,
                TYPE,
                220 + step / 7,
            )
            for day in DAYS
            for step in range(12)
        ]
        values = ", ".join(
            f"('{time.isoformat()}', '{sensor}', '{kind}', {value}, 0, 0, now(), 1, 0, false, 1)"
            for time, sensor, kind, value in self.rows
        )
        probe.execute(
            "BEGIN; INSERT INTO sensors.measurements (event_time, sensor_id, type, value, source_partition, "  # noqa: S608 - our own text
            "source_offset, appended_at, weekday, hour, business_hours, rules_version) "
            f"VALUES {values}; "
            "INSERT INTO sensors.sums_1m SELECT * FROM sensors.recomputed_1m "
            f"WHERE sensor_id = '{self.sensor}'; COMMIT;",
        )

    def to_lake(self, rows: list[tuple[datetime, str, str, float]]) -> None:
        """Append some of the readings to the lake."""
        self.in_lake = True
        lake_rows.add(rows)

    def readings(self) -> int:
        """Return how many readings the database has."""
        return len(stored.measurements(self.prefix))

    def minutes(self) -> int:
        """Return how many minutes the database has."""
        return len(stored.aggregates(self.prefix, "1m"))

    def longer(self) -> list[dict[Key, dict[str, Any]]]:
        """Return the ten minutes and the hours."""
        return [stored.aggregates(self.prefix, period) for period in ("10m", "1h")]

    def wrong(self) -> list[dict[str, Any]]:
        """Return the minutes that are reported as wrong."""
        return probe.query(f"SELECT * FROM sensors.wrong_1m WHERE sensor_id = '{self.sensor}'")  # noqa: S608 - our own text


def recorded() -> tuple[int, int]:
    """Return how many of the days' chunks of readings were dropped, and verified."""
    days = ", ".join(f"'{day}'" for day in DAYS)
    (row,) = probe.query(
        "SELECT (SELECT count(*) FROM sensors.dropped "  # noqa: S608 - our own text
        f"WHERE kind = 'measurements' AND range_start IN ({days})) AS dropped, "
        f"(SELECT count(*) FROM sensors.verifications WHERE range_start IN ({days})) AS verified"
    )
    return row["dropped"], row["verified"]


@pytest.fixture
def old(sensors: probe.Sensors) -> Iterator[Old]:
    found = probe.query(PAST)
    assert found == [], "there are chunks past their time already, which this test would delete"
    made = Old(sensors.prefix)
    try:
        yield made
    finally:
        sensors.remove()
        if made.in_lake:
            lake_rows.empty(DAYS)
        # By the time of the chunks: a week of minutes begins before the days.
        for table in ("dropped", "verifications"):
            ranges = CHUNKS.replace("c.", "")
            probe.execute(f"DELETE FROM sensors.{table} WHERE {ranges}")  # noqa: S608 - our own text
        probe.execute(CLEAN.format(chunks=CHUNKS))


def run() -> tuple[int, str]:
    """Run the lifecycle as its timer does, but for root; return its exit status and what it said."""
    said = remote.run(probe.APPS, ["sh", "-c", "sudo sensors-lifecycle 2>&1; echo exit $?"])
    text, _, status = said.strip().rpartition("exit ")
    return int(status), text


def test_a_policy_that_would_make_late_readings_wrong_is_refused_and_nothing_is_deleted(old: Old) -> None:
    kept = probe.query("SELECT drop_after::text FROM sensors.lifecycle WHERE kind = 'measurements'")
    update = "UPDATE sensors.lifecycle SET drop_after = '{}' WHERE kind = 'measurements'"
    probe.execute(update.format("44 days"))
    try:
        status, said = run()
    finally:
        probe.execute(update.format(kept[0]["drop_after"]))
    assert status == 1
    assert "nothing is deleted, sensors.lifecycle must be changed: " in said
    assert "measurements: drop_after is 44 days" in said
    assert (old.readings(), old.minutes()) == (24, 24)


def test_readings_go_when_the_lake_holds_them_and_longer_periods_outlive_their_minutes(old: Old) -> None:
    before = old.longer()
    assert [sum(row["readings"] for row in rows.values()) for rows in before] == [24, 24]
    assert old.wrong() == []

    # All of the first day; of the second all but one.
    old.to_lake(old.rows[:-1])
    status, said = run()
    assert status == 1
    lacks = f"{old.sensor} {TYPE} {DAYS[1]:%Y-%m-%d}T11: 3 in the database, 2 in the lake"
    assert lacks in said
    assert (old.readings(), old.minutes()) == (12, 0)
    assert (old.longer(), old.wrong()) == (before, [])
    assert recorded() == (1, 1)

    old.to_lake(old.rows[-1:])
    # The second time there is nothing to do, and no lake is asked.
    for expected in ("dropped", "no readings are past their time"):
        status, said = run()
        assert status == 0, said
        assert f'"message": "{expected}"' in said
        assert (old.readings(), old.minutes()) == (0, 0)
        assert (old.longer(), old.wrong()) == (before, [])
        assert recorded() == (2, 2)

    kept = lake.history("both", DAYS[0], DAYS[1] + timedelta(days=1), old.sensor)
    assert [row[:4] for row in kept] == old.rows
