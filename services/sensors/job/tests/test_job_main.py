"""The driver's life with a fake query and a fake Spark: what ends it, and what executors are handed."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is on the nodes; tests/sensors covers this there")

from millrace_common.config import parse_config
from millrace_common.http import HealthServer
from sensors_job import job, main
from sensors_job.config import JobSettings
from sensors_job.metrics import Metrics
from sensors_job.store.sink import Target

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "kafka": {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"},
    "postgres": {
        "host": "db-1",
        "database": "sensors",
        "username": "sensors_job",
        "ca_file": "/ca.crt",
        "password": "hush",
    },
    "http": {"port": 0},
    "run_directory": "/run/sensors-job",
}


class Fake:
    """A job and its Spark: its query fails at one of the looks at it, or never; writes down what is asked."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.events: list[str] = []
        self.spark = SimpleNamespace(stop=lambda: self.events.append("stop Spark"))

    def start(self, spark: object) -> None:
        assert spark is self.spark
        self.events.append("start")

    def failure(self) -> str | None:
        self.events.append("look")
        return "offsets are gone" if self.events.count("look") == self.fails_at else None

    def stuck(self) -> str | None:
        return None

    def observe(self) -> None:
        self.events.append("observe")

    def stop(self) -> None:
        self.events.append("stop")


class Stop(threading.Event):
    """Waiting takes no time; it is set at the third wait, as by SIGTERM."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits += 1
        return self.waits > 2


def run(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> int:
    monkeypatch.setattr(main, "Job", lambda *_: fake)
    monkeypatch.setattr(main, "build_session", lambda _: fake.spark)
    return main.run(parse_config(CONFIG, JobSettings), Stop())


def test_a_stop_ends_query_and_spark_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    assert run(monkeypatch, fake) == 0
    assert fake.events == ["start", "look", "observe", "look", "observe", "stop", "stop Spark"]


def test_a_failed_query_ends_the_driver_for_systemd_to_start_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Fake(fails_at=2)
    assert run(monkeypatch, fake) == 1
    assert fake.events == ["start", "look", "observe", "look", "stop Spark"]


class FakeLake:
    """A lake whose query never runs."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    def start(self, _: object) -> None:
        self.events.append("start lake")

    def detail(self) -> str:
        return "failed: HDFS is away"

    def stop(self) -> None:
        self.events.append("stop lake")


def test_a_lake_that_fails_is_told_and_leaves_the_job_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    answers: list[tuple[int, object]] = []
    settings = parse_config({**CONFIG, "lake": {"warehouse": "hdfs://spark-1:8020/lake"}}, JobSettings)
    monkeypatch.setattr(main, "Job", lambda *_: fake)
    monkeypatch.setattr(main, "build_session", lambda _: fake.spark)
    monkeypatch.setattr(main, "LakeQuery", lambda *_: FakeLake(fake.events))

    class Asked(HealthServer):
        def close(self) -> None:
            answers.append(self.health())
            super().close()

    monkeypatch.setattr(main, "HealthServer", Asked)
    assert main.run(settings, Stop()) == 0
    assert fake.events[:2] == ["start", "start lake"]
    assert [event for event in fake.events if event.startswith("stop")] == ["stop", "stop lake", "stop Spark"]
    ((status, body),) = answers
    assert (status, body) == (
        200,
        {
            "status": "ok",
            "checks": {"query": "ok", "batch": "ok"},
            "details": {"lake": "failed: HDFS is away"},
        },
    )


def test_without_settings_of_a_lake_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "LakeQuery", lambda *_: pytest.fail("it was made"))
    assert run(monkeypatch, Fake()) == 0


def test_executors_get_plain_connection_arguments_that_no_text_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Target] = []
    monkeypatch.setattr(job, "Target", lambda *arguments: made.append(Target(*arguments)))
    job.Job(parse_config(CONFIG, JobSettings), Metrics())
    (target,) = made
    assert target.database["application_name"] == "sensors-job"
    assert {type(value) for value in target.database.values()} <= {str, int}
    assert pickle.loads(pickle.dumps(target)) == target != replace(target, database={})  # noqa: S301 - our own
    assert "hush" not in repr(target)


def test_the_command_checks_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    assert main.main(["--config", str(path), "--check"]) == 0
    path.write_text(json.dumps(CONFIG | {"trigger_ms": -1}))
    assert main.main(["--config", str(path)]) == 2
    assert capsys.readouterr().err == f"{path}: trigger_ms: expected at least 0, got -1\n"
