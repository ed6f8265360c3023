"""Each daemon, killed with SIGKILL, comes back by itself, and readings flow again at their full rate."""

from __future__ import annotations

import probe
import pytest

from millrace import remote

pytestmark = pytest.mark.lab


def main_pid(node: str, unit: str) -> int:
    """Return the process of a unit, 0 while it has none or its node does not answer."""
    command = ["systemctl", "show", "-P", "MainPID", unit]
    return int(remote.run_each({node: command})[node] or 0)


def now() -> str:
    """Return the database's time."""
    (row,) = probe.query("SELECT now()::text AS now")
    return str(row["now"])


def flowing_since(moment: str) -> bool:
    """Tell whether all is up, and all readings of five seconds that began later than `moment` are stored."""
    (row,) = probe.query(
        f"SELECT count(*) / 5.0 AS rate, now() - interval '7 s' > '{moment}' AS later "  # noqa: S608 - our own text
        "FROM sensors.measurements "
        "WHERE event_time >= now() - interval '7 s' AND event_time < now() - interval '2 s'"
    )
    return row["later"] and float(row["rate"]) >= probe.READINGS_A_SECOND and probe.flowing()


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
    back = now()
    probe.wait_until(f"all readings being stored after {name} was killed", lambda: flowing_since(back))
