"""What make bench runs on the nodes: settings that the job accepts, and programs that may die."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import contest
import jdbc
import probe
import pytest
import stage
import watching
from contest import Contest, Load
from node_process import NodeProcess
from watching import Watch

from millrace.access import remote
from millrace.console import MillraceError
from millrace_common.config import load_config
from sensors_generator.settings import SensorSettings
from sensors_job.config import JobSettings, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEPLOYED: Mapping[str, Any] = {
    "http": {"port": 9303},
    "kafka": {
        "bootstrap_servers": ["kafka-1:9092"],
        "ca_file": "/ca.crt",
        "username": "sensors-job",
        "password": "one",
    },
    "postgres": {
        "host": "db-1",
        "port": 5432,
        "database": "sensors",
        "ca_file": "/ca.crt",
        "username": "sensors_job",
        "password": "two",
    },
    "run_directory": "/run/sensors-job",
    "trigger_ms": 700,
    "lake": {"warehouse": "hdfs://namenode:8020/lake"},
}
# Stands for a program on a node: answers, says something that is no JSON, fails at the line "fail".
FAKE = """
import json, sys
print("Picked up JAVA_TOOL_OPTIONS", flush=True)
for line in sys.stdin:
    if json.loads(line) == "fail":
        sys.exit("it was told to")
    print(json.dumps([json.loads(line)]), flush=True)
print(json.dumps("bye"), flush=True)
"""


def on_this_machine(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    argv = [sys.executable, "-c", script]
    monkeypatch.setattr(remote, "ssh_argv", lambda _node, _command: argv)


def test_the_job_accepts_the_settings_and_reads_and_writes_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(stage.job_config(DEPLOYED, "sensors.bench-1", "three", 6)), encoding="utf-8")
    settings = load_config(file, JobSettings)
    assert settings.topics.measurements == "sensors.bench-1"
    assert settings.postgres.database == stage.DATABASE != "sensors"
    assert (settings.kafka.username, settings.kafka.password) == ("tests", "three")
    assert settings.lake is None
    assert settings.spark["spark.cores.max"] == "6"
    # The brokers let the tests' user read these alone.
    assert settings.topics.measurements.startswith("sensors.")
    assert settings.group_prefix.startswith("tests")
    # All else is as deployed.
    assert (settings.trigger_ms, settings.http.port) == (700, 9303)
    assert settings.run_directory != DEPLOYED["run_directory"]


def test_the_environment_of_the_deployed_unit_is_read_as_systemd_prints_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = (
        'Environment=SPARK_HOME=/opt/spark "PYSPARK_SUBMIT_ARGS=--load --file /a=b.conf shell"\n'
        "User=sensors-job\nGroup=spark\nSupplementaryGroups=sensors-job\n"
    )
    monkeypatch.setattr(remote, "run", lambda _node, _command: said)
    environment, *account = stage.job_environment()
    assert environment == {"SPARK_HOME": "/opt/spark", "PYSPARK_SUBMIT_ARGS": "--load --file /a=b.conf shell"}
    assert account == ["sensors-job", "spark", "sensors-job"]


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_only_what_ran_is_started_again_also_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    called: list[list[str]] = []

    def run(_node: str, command: list[str]) -> str:
        if command[1] != "show":
            called.append(command)
        return f"ActiveState={'inactive' if command[-1] == 'sensors-lake.service' else state}\n"

    monkeypatch.setattr(remote, "run", run)
    with pytest.raises(KeyboardInterrupt), stage.deployed_job_stopped():
        raise KeyboardInterrupt
    units = ["sensors-job.service", "sensors-lake.timer"]
    both = [["sudo", "systemctl", verb, *units] for verb in ("stop", "start")]
    assert called == (both if state == "active" else [])


def test_the_stage_is_cleared_also_when_a_step_of_clearing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def step(name: str) -> None:
        monkeypatch.setattr(stage, name, lambda *_: done.append(name))

    for name in ("stop_job", "remove_database", "make_database", "make_topic", "start_job"):
        step(name)

    def removing(*_: object) -> None:
        done.append("remove_topics")
        if "make_topic" in done:
            message = "no broker"
            raise MillraceError(message)

    monkeypatch.setattr(stage, "remove_topics", removing)
    monkeypatch.setattr(remote, "run", lambda _node, command: done.append(command[1]))
    with pytest.raises(ExceptionGroup, match="could not be removed"), stage.running("t", 3, 3):
        done.append("measured")
    clearing = ["stop_job", "remove_database", "remove_topics"]
    assert done == [*clearing, "make_database", "make_topic", "start_job", "measured", *clearing, "rm"]


def test_sensors_share_the_partitions_equally_and_have_ids_that_the_contract_allows() -> None:
    for partitions in (1, 3, 6):
        found = contest.sensors(Load(1, 1, partitions=partitions).sensors)
        shares = [sum(number % partitions == p for number, _ in enumerate(found)) for p in range(partitions)]
        assert len(set(shares)) == 1
    assert len({sensor for sensor, _ in contest.sensors(60)}) == 60
    assert {kind for _, kind in contest.sensors(3)} == {"temperature", "pressure", "voltage"}
    for sensor, kind in contest.sensors(4):
        SensorSettings(sensor, kind)  # type: ignore[arg-type] # the contract's check is what is called


def test_event_times_of_a_load_lie_in_the_past_and_within_what_the_job_accepts() -> None:
    load = Load(600_000, 600_000)
    begin = Contest(load).begin / 1e6
    end = begin + load.rows_a_sensor * contest.STEP / 1e6
    now = time.time()
    assert now - Limits().max_past_seconds < begin < end < now


def test_a_program_answers_line_by_line_and_ends_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    on_this_machine(monkeypatch, FAKE)
    with NodeProcess("a", ["fake"], "first") as process:
        assert process.receive(20) == ["first"]
        process.send({"second": 2})
        assert process.receive(20) == [{"second": 2}]
        assert process.received() == []
        with pytest.raises(MillraceError, match="no answer within 0 s"):
            process.receive(0.01)
        process.finish()
        assert process.receive(20) == "bye"


def test_what_a_program_said_as_it_died_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    on_this_machine(monkeypatch, FAKE)
    with (
        pytest.raises(MillraceError, match="python fake … on a ended with status 1: it was told to"),
        NodeProcess("a", ["python", "fake", "a script" * 100], "fail") as process,
    ):
        process.receive(20)


def test_a_watch_knows_what_was_there_and_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = """
import json, sys
given = json.loads(sys.stdin.readline())
assert given == {"database": "d", "topic": "t", "interval": 1, "hold": True}
for line in ([1.0, 0, 5], [1.0, 1, 6], ["watching"]):
    print(json.dumps(line), flush=True)
assert json.loads(sys.stdin.readline()) == "release"
print(json.dumps([2.0, 0, 9]), flush=True)
sys.stdin.read()
"""
    on_this_machine(monkeypatch, fake)
    with Watch("t", interval=1, database="d", hold=True) as watch:
        assert watch.offsets == {0: 5, 1: 6}
        with pytest.raises(MillraceError, match=r"not to \{0: 9, 1: 6\}"):
            watch.wait({0: 9, 1: 6}, 0)
        watch.release()
        watch.wait({0: 9, 1: 6}, 20)
        assert watch.changes == [(1.0, 0, 5), (1.0, 1, 6), (2.0, 0, 9)]


def test_scripts_for_nodes_are_valid_and_use_what_is_there() -> None:
    for script in (contest.PRODUCE, contest.INSERT, contest.COPY, jdbc.SCRIPT, watching.SCRIPT):
        compile(script, "script", "exec")
    assert probe.DATABASE
    # The COPY that the others are held against names the columns that the job's does.
    from sensors_job.store.statements import MEASUREMENTS  # noqa: PLC0415 - beside what it is for

    assert f"sensors.measurements ({', '.join(contest.COLUMNS)})" == MEASUREMENTS
