"""Each daemon, killed with SIGKILL, comes back by itself, and readings flow again at their full rate.

Meanwhile a stream of known messages flows: valid, invalid, repeated, contradicting and late ones. Each takes
effect exactly once, also where the job's checkpoint is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import judged
import probe
import pytest
from sensors_oracle.stream import Shares

from millrace.access import remote
from millrace.verbs import status

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

COUNT = 20_000  # messages at least; as many more as flow until everything has been killed
RATE = 300.0
SEED = 20261122
DAEMONS = [service.name for service in probe.ENVIRONMENT.catalogue.services.values() if service.is_daemon]
JOB = "sensors-job.service"
RUN_DIRECTORY = (
    "import json; print(json.load(open('/etc/millrace/sensors-job/config.json'))['run_directory'])"
)


@pytest.fixture(scope="module")
def stream() -> Iterator[judged.Stream]:
    """Give a stream that flows under all tests of this file, until the last one ends and judges it."""
    with (
        probe.own_sensors() as sensors,
        judged.Stream(sensors, SEED, COUNT, RATE, Shares()) as flowing,
    ):
        probe.wait_until("messages to be stored", lambda: sensors.total() > 0)
        yield flowing


def main_pid(node: str, unit: str) -> int:
    """Return the process of a unit, 0 while it has none or its node does not answer."""
    command = ["systemctl", "show", "-P", "MainPID", unit]
    return int(remote.run_each({node: command})[node] or 0)


def await_recovery(what: str) -> None:
    """Wait until all units are up, and from then on readings are stored at their full rate."""
    probe.wait_until(
        f"every unit being active after {what}", lambda: status.collect(probe.ENVIRONMENT).healthy
    )
    back = probe.now()
    probe.wait_until(f"all readings being stored after {what}", lambda: probe.flowing_since(back))


@pytest.mark.parametrize("name", DAEMONS)
def test_a_killed_daemon_comes_back_and_readings_flow(stream: judged.Stream, name: str) -> None:
    service = probe.ENVIRONMENT.catalogue.services[name]
    node = probe.ENVIRONMENT.topology.members(service.group)[-1].name
    before = main_pid(node, service.unit)
    assert before
    assert stream.flows()
    remote.run(node, ["sudo", "systemctl", "kill", "-s", "KILL", "--kill-whom=main", service.unit])

    probe.wait_until(
        f"{service.unit} having a new process on {node}",
        lambda: main_pid(node, service.unit) not in {0, before},
    )
    await_recovery(f"{name} was killed")


def test_readings_flow_after_the_jobs_checkpoint_is_deleted(stream: judged.Stream) -> None:
    directory = remote.run(probe.APPS, ["sudo", "python3", "-c", RUN_DIRECTORY]).strip()
    assert directory.startswith(("/run/", "/var/lib/")), directory
    assert stream.flows()
    remote.run(probe.APPS, ["sudo", "systemctl", "stop", JOB])
    # systemd has removed it already where it is the unit's runtime directory, and makes it again.
    remote.run(probe.APPS, ["sudo", "rm", "-rf", "--", directory])
    remote.run(probe.APPS, ["sudo", "systemctl", "start", JOB])
    await_recovery("the checkpoint was deleted")


def test_every_message_took_effect_exactly_once_meanwhile(stream: judged.Stream) -> None:
    stream.stop()
    stream.judge()
