"""Logs, health server, stop and schemas."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import urllib.error
import urllib.request

import jsonschema
import pytest
from prometheus_client import CollectorRegistry, Counter

from millrace_common import schemas
from millrace_common.http import HealthServer, HttpSettings
from millrace_common.logs import fields, setup_logging
from millrace_common.stop import stop_on_signals


@pytest.mark.usefixtures("_logging_restored")
def test_logs_one_json_object_per_line() -> None:
    stream = io.StringIO()
    setup_logging("INFO", stream)
    log = logging.getLogger("here")
    log.info("two\nlines and %s", "°C", extra=fields(topic="t", count=3))
    try:
        raise ValueError("bad")  # noqa: EM101, TRY301 - any error will do
    except ValueError:
        log.exception("failed")
    log.debug("not shown")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "two\nlines and °C"
    assert first["fields"] == {"topic": "t", "count": 3}
    assert (first["level"], first["logger"], first["time"][-1]) == ("INFO", "here", "Z")
    assert "ValueError: bad" in second["error"]


def get(server: HealthServer, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{server.port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_and_metrics() -> None:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc(2)
    reasons: list[str | None] = [None]
    with HealthServer(HttpSettings(port=0), registry) as server:
        server.add_check("broker", lambda: reasons[0])
        assert get(server, "/healthz") == (200, '{"status": "ok", "checks": {"broker": "ok"}}')
        reasons[0] = "no answer for 9 s"
        status, body = get(server, "/healthz")
        assert status == 503
        assert json.loads(body)["checks"] == {"broker": "no answer for 9 s"}
        server.add_check("broken", lambda: str(1 / 0))
        status, body = get(server, "/healthz?x=1")
        assert json.loads(body)["checks"]["broken"] == "ZeroDivisionError: division by zero"
        assert "seen_total 2.0" in get(server, "/metrics")[1]
        assert get(server, "/else")[0] == 404


@pytest.mark.usefixtures("_signals_restored")
def test_stops_on_sigterm() -> None:
    stop = stop_on_signals()
    assert not stop.is_set()
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(10)


READING = {
    "sensor_id": "temperature-1",
    "type": "temperature",
    "value": 21.53,
    "unit": "°C",
    "timestamp": "2026-11-21T19:00:00.200Z",
}
ANOMALY = READING | {
    "rule_id": "temperature-high",
    "severity": "warning",
    "threshold": 35,
    "rules_version": 1,
    "topic": "sensors.measurements",
    "partition": 0,
    "offset": 0,
}
REJECTED = {
    "reason": "empty",
    "topic": "sensors.measurements",
    "partition": 0,
    "offset": 0,
    "appended_at": "2026-11-21T19:00:00.200Z",
    "key_base64": None,
    "value_base64": "AA==",
}
EXAMPLES = {"measurement.v1": READING, "anomaly.v1": ANOMALY, "rejected.v1": REJECTED}


@pytest.mark.parametrize("name", schemas.NAMES)
def test_schemas_accept_the_example_and_need_every_key(name: str) -> None:
    schema = schemas.load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(EXAMPLES[name])
    for key in EXAMPLES[name]:
        assert not validator.is_valid({k: v for k, v in EXAMPLES[name].items() if k != key}), key


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "hPa"},
        {"type": "humidity"},
        {"value": "21"},
        {"value": True},
        {"sensor_id": "null"},
        {"sensor_id": "Temperature-1"},
        {"sensor_id": "temperature-1\n"},
        {"sensor_id": "a" * 65},
        {"timestamp": "2026-11-21T19:00:00"},
        {"timestamp": "2026-11-21T19:00:00+00:00"},
        {"timestamp": "2026-11-21T19:00:00.1234567Z"},
        {"timestamp": "2026-11-21T19:00:00Z\n"},
    ],
)
def test_measurement_schema_refuses(change: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(schemas.load_schema("measurement.v1"))
    assert not validator.is_valid(READING | change)


def test_unknown_schema_lists_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"no schema named 'x'; there are: measurement\.v1"):
        schemas.load_schema("x")
