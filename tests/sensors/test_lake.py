"""The lake has what the database has, whatever happens to its query, its checkpoint and its old snapshots."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import lake
import probe
import pytest
import stored
from sensors_oracle.stream import Shares, scenario, span

from millrace.access import remote

pytestmark = pytest.mark.lab

COUNT = 3_000
SEED = 20261122


def common_period() -> tuple[datetime, datetime]:
    """Return the past hour, or as much of it as the database has."""
    now = datetime.now(UTC)
    recent = f"event_time > '{now - timedelta(hours=1)}'"
    first = probe.query(f"SELECT min(event_time) AS first FROM sensors.measurements WHERE {recent}")  # noqa: S608 - our own text
    return datetime.fromisoformat(first[0]["first"]), now


def test_the_lake_is_what_the_database_is() -> None:
    period = common_period()
    offsets = lake.wait()

    def below(rows: list[lake.Row]) -> Counter[lake.Row]:
        return Counter(row for row in rows if row[5] < offsets[row[4]])

    database = below(lake.history("database", *period))
    # Of the sensors that the database knows: those of tests are removed there, and stay in the lake.
    known = {row[1] for row in database}
    kept = Counter(
        {row: count for row, count in below(lake.history("lake", *period)).items() if row[1] in known}
    )
    assert database
    assert (database - kept, kept - database) == (Counter(), Counter())


def test_a_late_flood_sent_twice_across_maintenance_and_a_lost_checkpoint_is_in_the_lake_as_sent(
    sensors: probe.Sensors,
) -> None:
    """Yesterday's readings; then compaction and expiry; then the driver killed; then all of it again."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1) - span(COUNT, len(sensors.types))
    # Nothing from days before: each day that gets a file more is compacted as a whole.
    shares = Shares(late=0.0)
    items = list(scenario(SEED, COUNT, sensors.types, start, shares=shares, rules=probe.rules()))
    pairs = [(item.key, item.value) for item in items]
    sensors.send(pairs)
    probe.wait_until("the job to pass all messages", sensors.processed)
    once = stored.measurements(sensors.prefix)
    lake.wait()

    remote.run(probe.APPS, ["sudo", "sensors-lake", "--local", "--keep-hours", "0"])
    # Its checkpoint is in the unit's runtime directory, which goes with it.
    remote.run(
        probe.APPS, ["sudo", "systemctl", "kill", "-s", "KILL", "--kill-whom=main", "sensors-job.service"]
    )
    sensors.send(pairs)
    probe.wait_until("the job to pass all messages again", sensors.processed)
    lake.wait()

    period = (start, datetime.now(UTC))
    everything = lake.history("messages", *period, f"{sensors.prefix}-*")
    assert Counter(everything) == Counter(lake.messages(items * 2, sensors.sent))
    assert sorted(stored.measurements(sensors.prefix)) == sorted(once), "the database has none of it twice"
    stored.check_aggregates(sensors.prefix, items)
    view = lake.history("lake", *period, f"{sensors.prefix}-*")
    assert sorted(view) == sorted(
        (when, sensor, kind, value, *place) for sensor, kind, when, value, place in once
    )
