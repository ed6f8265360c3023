"""The lake's query as the driver supervises it, with a fake table and a fake Spark."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is on the nodes; tests/sensors covers this there")

from prometheus_client import CollectorRegistry

from millrace_common.config import parse_config
from sensors_job import kafka_source
from sensors_job.config import JobSettings
from sensors_job.lake import command as lake_command
from sensors_job.lake import query as lake_query
from sensors_job.lake.metrics import LakeMetrics

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: dict[str, Any] = {
    "kafka": {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"},
    "postgres": {"host": "d", "database": "s", "username": "u", "ca_file": "/ca.crt", "password": "p"},
    "http": {"port": 0},
    "lake": {"warehouse": "hdfs://spark-1:8020/lake", "first_pause_seconds": 5, "longest_pause_seconds": 15},
}


class Supervised(lake_query.LakeQuery):
    """A lake whose starts end as `outcomes` say: an exception, or None for a query that then runs."""

    def __init__(self, directory: Path, outcomes: list[Exception | None]) -> None:
        self.registry = CollectorRegistry()
        settings = parse_config({**CONFIG, "run_directory": str(directory)}, JobSettings)
        assert settings.lake is not None
        super().__init__(settings, settings.lake, LakeMetrics(self.registry))
        self.outcomes = outcomes
        self.waits: list[float] = []
        self.states: list[str] = []
        self.stopped = 0
        self._stop = SimpleNamespace(is_set=lambda: not self.outcomes, wait=self.wait)  # type: ignore[assignment]

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.states.append(self.detail())
        return not self.outcomes

    def _begin(self, spark: object) -> Any:  # noqa: ANN401, ARG002 - as it is in the parent
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome
        return SimpleNamespace(isActive=False, exception=lambda: "a task failed", stop=self.count)

    def count(self) -> None:
        self.stopped += 1

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


def test_a_lake_that_is_down_is_tried_again_after_growing_pauses(tmp_path: Path) -> None:
    lake = Supervised(tmp_path, [ConnectionError(f"NameNode away {n}\nat ...") for n in range(4)])
    lake.supervise(None)
    assert lake.waits == [5, 10, 15, 15]
    assert lake.states[1] == "failed, ConnectionError: NameNode away 1"
    assert lake.value("sensors_lake_failures_total") == 4
    assert lake.value("sensors_lake_running") == 0


def test_a_query_that_ends_is_a_failure_and_is_stopped(tmp_path: Path) -> None:
    lake = Supervised(tmp_path, [None, ValueError("x")])
    lake.supervise(None)
    assert "RuntimeError: the query has ended: a task failed" in lake.states[1]
    assert lake.stopped == 1


def test_a_batch_that_succeeds_makes_the_pauses_short_again(tmp_path: Path) -> None:
    lake = Supervised(tmp_path, [ConnectionError("away") for _ in range(3)])
    lake.supervise(None)
    checkpoint = tmp_path / "checkpoint"
    (checkpoint / "offsets").mkdir(parents=True)
    (checkpoint / "offsets" / "7").write_text("v1\n{}\n" + json.dumps({"sensors.measurements": {"0": 4}}))
    table: Any = SimpleNamespace(ledger=lambda: SimpleNamespace(to={0: 4}))
    run = lake_query.QueryRun({0: 1}, checkpoint)
    lake.batch(table, run, None, 7)
    assert run.start == {0: 4}
    assert lake.detail() == "running"
    lake.outcomes = [ConnectionError("away")]
    lake.supervise(None)
    assert lake.waits == [5, 10, 15, 5]


def test_a_batch_that_fails_is_the_reason_that_is_told(tmp_path: Path) -> None:
    lake = Supervised(tmp_path, [None, ConnectionError("x")])
    with pytest.raises(FileNotFoundError):
        lake.batch(SimpleNamespace(), lake_query.QueryRun({}, tmp_path), None, 3)  # type: ignore[arg-type]
    lake.supervise(None)
    assert lake.states[1].startswith("failed, FileNotFoundError: ")


def test_the_lag_grows_while_the_lake_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the topic has is asked before the lake, which here is no table at all."""
    lake = Supervised(tmp_path, [])
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(setLocalProperty=lambda *_: None, _jvm=None))
    monkeypatch.setattr(kafka_source, "available_offsets", lambda *_: {0: (0, 70), 1: (0, 40)})
    for seen, told in (({}, None), ({0: 60, 1: 40}, 10)):
        lake._seen = seen  # noqa: SLF001 - where it was when the lake was last there
        with pytest.raises(AttributeError, match="catalog"):
            lake_query.LakeQuery._begin(lake, spark)  # noqa: SLF001 - what the fake replaces
        value = lake.value("sensors_lake_lag_messages")
        assert value is not None
        assert (None if math.isnan(value) else value) == told


def test_expiry_keeps_a_day_and_whatever_came_after_the_ledger() -> None:
    lake = {"warehouse": "hdfs://spark-1:8020/lake"}
    settings = parse_config({"lake": lake, "postgres": CONFIG["postgres"]}, lake_command.MaintenanceSettings)
    now = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)
    assert "TIMESTAMP '2026-11-21 12:00:00.000'" in lake_command.expiry(settings, now, now - 60_000)
    old = int(datetime(2026, 11, 19, 1, 2, 3, 456_000, tzinfo=UTC).timestamp() * 1000)
    assert "TIMESTAMP '2026-11-19 01:02:03.456'" in lake_command.expiry(settings, now, old)
