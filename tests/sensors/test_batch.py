"""Batches over the lake: aggregates that come out the same, a profile, and a rule that goes by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import lake
import probe
import pytest
from sensors_oracle.baselines import learn
from sensors_oracle.invalid import dump, iso
from sensors_oracle.reference import UNITS, Reading, Rule

from millrace.access import remote
from sensors_generator.signals import readings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

SEED = 20261123
HOUR = timedelta(hours=1)


def batch(*words: str) -> str:
    """Return what sensors-batch prints; an error where its status is not 0."""
    return remote.run(probe.APPS, ["sudo", "sensors-batch", *words])


def test_aggregates_from_the_lake_are_the_databases() -> None:
    lake.wait()
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    past = probe.query(
        f"SELECT count(*) AS minutes FROM sensors.sums_1m WHERE bucket >= '{end - HOUR}' AND bucket < '{end}'"  # noqa: S608 - our own text
    )
    # A lab that is younger than the full hour has minutes of this one, of which the last are still moving.
    begin = end - HOUR if past[0]["minutes"] else end
    printed = batch("recompute", "--from", begin.isoformat(), "--to", (begin + HOUR).isoformat())
    rows = {words[0]: words[1:4] for line in printed.splitlines() if (words := line.split())}
    for period in ("1m", "10m", "1h"):
        assert rows[period][1] == "0", printed
    assert int(rows["1m"][0]) > 0, printed
    if begin < end:
        assert int(rows["1h"][0]) > 0, printed


def signal(sensor: str, seed: int, begin: datetime, count: int, share: float) -> list[Reading]:
    """Return readings of a generated signal, 20 s apart."""
    values = islice(readings(seed, sensor, "voltage", share), count)
    return [
        Reading(sensor, "voltage", value, begin + n * timedelta(seconds=20)) for n, value in enumerate(values)
    ]


def send(sensors: probe.Sensors, several: list[Reading]) -> None:
    """Send readings and wait until the job has passed them."""
    messages = [
        {
            "sensor_id": reading.sensor_id,
            "type": reading.type,
            "value": reading.value,
            "unit": UNITS[reading.type],
            "timestamp": iso(reading.event_time),
        }
        for reading in several
    ]
    sensors.send([(str(message["sensor_id"]).encode(), dump(message)) for message in messages])
    probe.wait_until("the job to pass the messages", sensors.processed)


@pytest.fixture
def clean_profiles(sensors: probe.Sensors) -> Iterator[None]:
    """Take the test's rule away, and what was learned of its sensors."""
    yield
    probe.execute(
        f"DELETE FROM sensors.anomaly_rules WHERE rule_id = '{sensors.prefix}';"  # noqa: S608 - our own text
        f"DELETE FROM sensors.profiles WHERE sensor_id LIKE '{sensors.prefix}-%';",
    )


@pytest.mark.usefixtures("clean_profiles")
def test_a_rule_goes_by_what_was_learned_from_the_lake(sensors: probe.Sensors) -> None:
    sensor = f"{sensors.prefix}-voltage"
    three = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=3)
    training = signal(sensor, SEED, three, 150, 0.02)
    send(sensors, training)
    lake.wait()

    batch("profile")
    (newest,) = probe.query("SELECT max(version) AS version FROM sensors.profile_versions")
    rows = probe.query(
        "SELECT sensor_id, type, hour, centre, spread FROM sensors.profiles "  # noqa: S608 - our own text
        f"WHERE version = {newest['version']}"
    )
    learned = {(r["sensor_id"], r["type"], r["hour"]): (r["centre"], r["spread"]) for r in rows}
    profile = learn(training)
    assert {key: usual for key, usual in learned.items() if key[0] == sensor} == profile
    assert profile.keys() == {(sensor, "voltage", 3)}
    assert len({key[0] for key in learned}) > 1, "it is of all sensors that the database knows"

    rule = Rule(sensors.prefix, "voltage", "unusual", 4.0, "info", sensor)
    probe.execute(
        "INSERT INTO sensors.anomaly_rules (rule_id, type, sensor_id, comparison, threshold, severity) "  # noqa: S608 - our own text
        f"VALUES ('{rule.rule_id}', 'voltage', '{sensor}', 'unusual', {rule.threshold}, '{rule.severity}');",
    )
    (version,) = probe.query(
        "SELECT version, profile_version FROM sensors.rule_versions ORDER BY version DESC LIMIT 1"
    )
    assert version["profile_version"] == newest["version"]

    # A day later, from the end of an hour that was learned into one that was not.
    judged = signal(sensor, SEED + 1, three + timedelta(days=1, minutes=15), 200, 0.2)
    send(sensors, judged)
    expected = {
        reading.event_time: (reading.value, bound, "info", version["version"])
        for reading in judged
        if (bound := rule.crossed(reading, profile)) is not None
    }
    found = probe.query(
        "SELECT event_time, value, threshold, severity, rules_version FROM sensors.anomalies "  # noqa: S608 - our own text
        f"WHERE sensor_id = '{sensor}' AND rule_id = '{rule.rule_id}'"
    )
    assert {
        datetime.fromisoformat(row["event_time"]): (
            row["value"],
            row["threshold"],
            row["severity"],
            row["rules_version"],
        )
        for row in found
    } == expected
    hours = {reading.event_time.hour for reading in judged}
    assert hours == {3, 4}
    assert {when.hour for when in expected} == {3}

    # Without the rule nobody is flagged by it any more.
    probe.execute(
        f"DELETE FROM sensors.anomaly_rules WHERE rule_id = '{rule.rule_id}';",  # noqa: S608 - our own text
    )
    send(sensors, signal(sensor, SEED + 2, three + timedelta(days=2), 30, 1.0))
    after = probe.query(
        f"SELECT count(*) AS flagged FROM sensors.anomalies WHERE rule_id = '{rule.rule_id}'"  # noqa: S608 - our own text
    )
    assert after[0]["flagged"] == len(expected)
