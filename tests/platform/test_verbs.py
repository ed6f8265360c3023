"""The everyday verbs, called as a person calls them."""

from __future__ import annotations

import json
import subprocess
import time

import probe
import pytest
import shell
import stored

from millrace import paths
from millrace.access import remote
from sensors_contract import readings

pytestmark = pytest.mark.lab


def make(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a target with the words of a command line."""
    return subprocess.run(  # noqa: S603 - our own argv
        ["make", "--no-print-directory", *words],  # noqa: S607 - the operator's make
        cwd=paths.repo_root(),
        env=shell.environment(),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=probe.PATIENCE,
    )


def made(*words: str, stdin: str | None = None) -> str:
    """Run a target that must succeed, and return what it printed."""
    done = make(*words, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ssh_runs_a_command_on_the_node_that_is_named() -> None:
    node = probe.ENVIRONMENT.topology.members("kafka")[-1].name
    assert made("ssh", f"NODE={node}", "CMD=hostname").strip() == node


def test_psql_runs_the_statements_of_its_input() -> None:
    assert "42" in made("psql", stdin="SELECT 6 * 7 AS answer;\n").split()


def test_what_is_produced_is_stored_and_what_is_consumed_was_sent(sensors: probe.Sensors) -> None:
    sent = [
        readings.encode(sensor, kind, value, readings.format_time(time.time_ns() // 1000))
        for (sensor, kind), value in zip(sensors.types.items(), (20.0, 1000.0, 230.0), strict=True)
    ]
    lines = [f"{key.decode()}\t{value.decode()}\n" for key, value in sent]
    made("produce", f"TOPIC={probe.TOPIC}", "KEY=1", stdin="".join(lines))
    probe.wait_until("what was produced to take effect", lambda: sensors.total() == len(sent))
    found = {(sensor, value) for sensor, _, _, value, _ in stored.measurements(sensors.prefix)}
    assert found == {(key.decode(), json.loads(value)["value"]) for key, value in sent}

    (line,) = made("consume", f"TOPIC={probe.TOPIC}", "MAX=1").splitlines()
    key, value = line.split("\t")
    assert json.loads(value)["sensor_id"] == key


def test_logs_are_those_of_the_service_on_all_its_nodes() -> None:
    said = made("logs", "SERVICE=kafka", "FOLLOW=0", "LINES=5")
    hosts = {line.split()[1] for line in said.splitlines() if not line.startswith("-- ")}
    assert hosts == {node.name for node in probe.ENVIRONMENT.topology.members("kafka")}


def test_restart_restarts_the_service_alone() -> None:
    def processes() -> dict[str, str]:
        units = ("sensors-relay", "sensors-generator", "sensors-job")
        show = ["systemctl", "show", "--property=MainPID", "--value"]
        return {unit: remote.run(probe.APPS, [*show, unit]).strip() for unit in units}

    before = processes()
    made("restart", "SERVICE=sensors-relay")
    after = processes()
    assert {unit for unit, process in after.items() if process != before[unit]} == {"sensors-relay"}
    # The restart waited for it.
    assert probe.answering("sensors-relay")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ssh", "NODE=kafka-9"], "no node 'kafka-9'; NODE is one of: "),
        (["logs", "SERVICE=sensor"], "SERVICE is one of: "),
        (["restart", "SERVICE="], "SERVICE is one of: "),
        (["consume"], "TOPIC is missing; "),
    ],
)
def test_a_wrong_name_is_one_line_that_lists_the_right_ones(words: list[str], expected: str) -> None:
    tried = make(*words)
    assert tried.returncode != 0
    assert tried.stdout == ""
    (line,) = shell.said(tried.stderr)
    assert expected in line
