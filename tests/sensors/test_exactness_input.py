"""Bad input reaches the rejects with its original bytes, and the rules act while the job runs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import probe
import pytest
from sensors_oracle.invalid import dump, variants
from sensors_oracle.reference import UNITS, Limits

from millrace.access import remote

pytestmark = pytest.mark.lab


def reading(sensor: str, kind: str, value: float) -> dict[str, Any]:
    """Return a valid message of now."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"sensor_id": sensor, "type": kind, "value": value, "unit": UNITS[kind], "timestamp": now}


def test_bad_input_is_rejected_with_its_original_bytes_and_the_stream_goes_on(sensors: probe.Sensors) -> None:
    sensor = f"{sensors.prefix}-temperature"
    cases = [(v.name, v.reason, v.value) for v in variants(reading(sensor, "temperature", 20.0), Limits())]
    cases += [
        ("5 MB", "too_large", b"\x00\xff{" * 1_700_000),
        ("5 MB of JSON", "too_large", b"[" * 5_000_000),
    ]
    good = dump(reading(sensor, "temperature", 21.0))
    sensors.send([*((sensor.encode(), value) for _, _, value in cases), (sensor.encode(), good)])
    probe.wait_until("the job to pass all messages", sensors.processed)

    found = dict(sensors.rejects("reason", "encode(value, 'base64') AS value"))
    for (name, reason, value), place in zip(cases, sensors.sent, strict=False):
        row = found[place]
        assert row["reason"] == reason, name
        assert (row["value"] if value is None else base64.b64decode(row["value"])) == value, name
    assert len(found) == len(cases)
    assert sensors.counts()[sensor]["stored"] == 1, "the good one after the bad ones"


def test_a_message_larger_than_the_topic_allows_is_refused_to_its_producer() -> None:
    answers = probe.produce([(b"k", b"x" * 7_000_000)])
    assert answers == ["MessageSizeTooLargeError"]


def test_a_changed_rule_takes_effect_without_a_restart(sensors: probe.Sensors) -> None:
    sensor = f"{sensors.prefix}-voltage"
    process = remote.run(probe.APPS, ["systemctl", "show", "-P", "MainPID", "sensors-job.service"])

    def send() -> str:
        message = reading(sensor, "voltage", 230.0)
        sensors.send([(sensor.encode(), dump(message))])
        probe.wait_until("the job to pass the message", sensors.processed)
        return json.dumps(message["timestamp"])[1:-1]

    def flagged(stamp: str) -> list[dict[str, Any]]:
        return probe.query(
            "SELECT rule_id, severity, threshold, rules_version FROM sensors.anomalies "  # noqa: S608 - our own text
            f"WHERE sensor_id = '{sensor}' AND event_time = '{stamp}'"
        )

    assert not flagged(send())
    probe.execute(
        "INSERT INTO sensors.anomaly_rules (rule_id, type, sensor_id, comparison, threshold, severity) "  # noqa: S608 - our own text
        f"VALUES ('{sensors.prefix}', 'voltage', '{sensor}', 'above', 229.5, 'info');",
    )
    version = probe.query("SELECT max(version) AS version FROM sensors.rule_versions")[0]["version"]
    assert flagged(send()) == [
        {"rule_id": sensors.prefix, "severity": "info", "threshold": 229.5, "rules_version": version}
    ]
    probe.execute(
        f"UPDATE sensors.anomaly_rules SET threshold = 230.5 WHERE rule_id = '{sensors.prefix}';",  # noqa: S608 - our own text
    )
    assert not flagged(send())
    assert process == remote.run(probe.APPS, ["systemctl", "show", "-P", "MainPID", "sensors-job.service"])
