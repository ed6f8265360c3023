"""Logs, health server and stop."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

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
