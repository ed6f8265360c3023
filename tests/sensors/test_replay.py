"""The replay against the lab's brokers, with sensors of its own: killed on its way, it leaves nothing out.

It runs on the apps node with the generator's environment, whether or not the topology has a replay.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import probe
import pytest
from sensors_oracle.reference import Reading, flags

from millrace import paths
from millrace.access import remote
from sensors_replay.table import Table, parse_table
from sensors_replay.timeline import Progress, Timeline, messages

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

START = "import sys; from sensors_replay.cli import main; sys.exit(main())"
TABLE_HOURS, SPEED = 30, 7200  # an hour of the table every 0.5 s
MORE_HOURS = 40  # after the kill: so the table begins over again
INTERVAL = timedelta(seconds=0.5)


def rows() -> Iterator[str]:
    """Yield a table of three stations, with gaps, missing values, and values beyond thresholds."""
    yield "origin,temp,pressure,time_hour"
    for hour in range(TABLE_HOURS):
        moment = datetime(2013, 11, 3, 5) + timedelta(hours=hour)  # noqa: DTZ001 - the text below says that it is UTC
        for number, station in enumerate(("EWR", "JFK", "LGA")):
            if (hour + number) % 7:
                temperature = "NA" if hour % 5 == number else f"{20 + 3 * hour + number / 100:.2f}"
                pressure = "NA" if hour % 4 == number else f"{940 + 5 * hour + number / 10:.1f}"
                yield f"{station},{temperature},{pressure},{moment.isoformat()}Z"


def packed(files: dict[str, str]) -> str:
    """Return an archive of the replay's code and `files`, as base64."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(
            paths.repo_root() / "services/sensors/replay/src/sensors_replay", arcname="sensors_replay"
        )
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content.encode()), 0o600
            archive.addfile(member, io.BytesIO(content.encode()))
    return base64.b64encode(stream.getvalue()).decode()


def config(folder: str, prefix: str, hours: int | None = None) -> dict[str, Any]:
    """Return the settings of a replay that ends after `hours` hours, or never."""
    return {
        "kafka": {
            "bootstrap_servers": probe.BROKERS,
            "ca_file": "/etc/millrace/pki/ca.crt",
            "username": "tests",
            "password": probe.password("kafka_tests"),
        },
        "http": {"port": 0},
        "table": f"{folder}/weather.csv",
        "state": f"{folder}/progress.json",
        "prefix": f"{prefix}-",
        "speed": SPEED,
        "limit_hours": hours,
    }


@pytest.fixture
def folder(sensors: probe.Sensors) -> Iterator[str]:
    """Put code, table and settings into a folder on the apps node that root alone can read."""
    path = f"/var/lib/{sensors.prefix}"
    files = {
        "weather.csv": "\n".join(rows()) + "\n",
        "config.json": json.dumps(config(path, sensors.prefix)),
    }
    script = f"umask 077 && mkdir {path} && base64 -d | tar -xz --no-same-owner -C {path}"
    remote.run(probe.APPS, ["sudo", "sh", "-c", script], stdin=packed(files))
    yield path
    # A unit that ended well has gone by itself.
    remote.run(probe.APPS, ["sudo", "sh", "-c", f"systemctl stop {sensors.prefix}; rm -rf {path}"])


def state(unit: str) -> str:
    """Return systemd's word for a unit; `inactive` where it has ended well."""
    return remote.run(probe.APPS, ["systemctl", "show", "-P", "ActiveState", unit]).strip()


def expected(table: Table, prefix: str, hours: int, first: datetime) -> list[Reading]:
    """Return the readings of a replay of `hours` hours, the first one sent with the event time `first`."""
    batch = Progress(Timeline(0, 0, round(INTERVAL / timedelta(microseconds=1))), 0, hours)
    began = datetime.fromisoformat("1970-01-01T00:00:00Z")
    made = [json.loads(value) for _, value in messages(table, f"{prefix}-", batch)]
    return [
        Reading(
            message["sensor_id"],
            message["type"],
            message["value"],
            first + (datetime.fromisoformat(message["timestamp"]) - began),
        )
        for message in made
    ]


def place(reading: Reading) -> tuple[datetime, str]:
    """Return what readings are sorted by."""
    return reading.event_time, reading.sensor_id


def test_a_replay_that_is_killed_goes_on_and_leaves_nothing_out(sensors: probe.Sensors, folder: str) -> None:
    unit, table = sensors.prefix, parse_table(rows())
    probe.execute(
        "INSERT INTO sensors.anomaly_rules "  # noqa: S608 - our own text
        "(rule_id, type, sensor_id, except_sensor_id, comparison, threshold, severity) VALUES "
        f"('{unit}', 'pressure', '{unit}-*', '{unit}-jfk-*', 'above', 1000, 'info'), "
        f"('{unit}-none', 'pressure', '{unit}-*', '{unit}-*', 'above', 0, 'info');",
    )
    rules = probe.rules()
    command = [probe.KAFKA_PYTHON, "-c", START, "--config", f"{folder}/config.json"]
    start = ["sudo", "systemd-run", f"--unit={unit}", f"--setenv=PYTHONPATH={folder}", *command]

    remote.run(probe.APPS, start)
    probe.wait_until("a part of the table to be stored", lambda: sensors.total() > TABLE_HOURS)
    remote.run(probe.APPS, ["sudo", "systemctl", "kill", "-s", "KILL", "--kill-whom=main", f"{unit}.service"])
    probe.wait_until("the replay to be dead", lambda: state(unit) == "failed")
    remote.run(probe.APPS, ["sudo", "systemctl", "reset-failed", unit])

    # Only now is it known how far it got, so only the second run is told where to end.
    reached = json.loads(remote.run(probe.APPS, ["sudo", "cat", f"{folder}/progress.json"]))["until"]
    hours = reached + MORE_HOURS
    settings = json.dumps(config(folder, unit, hours))
    remote.run(probe.APPS, ["sudo", "sh", "-c", f"cat > {folder}/config.json"], stdin=settings)
    remote.run(probe.APPS, start)
    probe.wait_until("the replay to come to its end", lambda: state(unit) in {"inactive", "failed"})
    assert state(unit) == "inactive"
    wanted = sum(len(table.hours[hour % TABLE_HOURS]) for hour in range(hours))
    probe.wait_until(
        "all readings to be stored", lambda: sum(c["stored"] for c in sensors.counts().values()) >= wanted
    )

    found = probe.query(
        "SELECT sensor_id, type, value, event_time FROM sensors.measurements "  # noqa: S608 - our own text
        f"WHERE sensor_id LIKE '{unit}-%'"
    )
    stored = [
        Reading(row["sensor_id"], row["type"], row["value"], datetime.fromisoformat(row["event_time"]))
        for row in found
    ]
    readings = expected(table, unit, hours, min(reading.event_time for reading in stored))
    assert sorted(stored, key=place) == sorted(readings, key=place)
    assert not any(counts["rejected"] for counts in sensors.counts().values())

    anomalies = probe.query(
        f"SELECT sensor_id, event_time, rule_id FROM sensors.anomalies WHERE sensor_id LIKE '{unit}-%'"  # noqa: S608 - our own text
    )
    assert {(a["sensor_id"], datetime.fromisoformat(a["event_time"]), a["rule_id"]) for a in anomalies} == {
        (reading.sensor_id, reading.event_time, rule)
        for reading in readings
        for rule in flags(reading, rules)
    }
