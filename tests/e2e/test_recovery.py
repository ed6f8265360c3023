"""Each daemon, killed with SIGKILL, comes back by itself, and readings flow again at their full rate."""

from __future__ import annotations

import probe
import pytest

from millrace.access import remote

pytestmark = pytest.mark.lab


def main_pid(node: str, unit: str) -> int:
    """Return the process of a unit, 0 while it has none or its node does not answer."""
    command = ["systemctl", "show", "-P", "MainPID", unit]
    return int(remote.run_each({node: command})[node] or 0)


@pytest.mark.parametrize(
    "name", [service.name for service in probe.ENVIRONMENT.catalogue.services.values() if service.is_daemon]
)
def test_a_killed_daemon_comes_back_and_readings_flow(name: str) -> None:
    service = probe.ENVIRONMENT.catalogue.services[name]
    node = probe.ENVIRONMENT.topology.members(service.group)[-1].name
    probe.wait_until(f"all readings being stored before {name} is killed", probe.flowing)
    before = main_pid(node, service.unit)
    assert before
    remote.run(node, ["sudo", "systemctl", "kill", "-s", "KILL", "--kill-whom=main", service.unit])

    probe.wait_until(
        f"{service.unit} having a new process on {node}",
        lambda: main_pid(node, service.unit) not in {0, before},
    )
    back = probe.now()
    probe.wait_until(f"all readings being stored after {name} was killed", lambda: probe.flowing_since(back))
