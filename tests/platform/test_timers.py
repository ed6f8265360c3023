"""What timers start by night does its work when it is started as they start it: as its unit, not by hand."""

from __future__ import annotations

import probe
import pytest

from millrace.access import remote

pytestmark = pytest.mark.lab

CATALOGUE, TOPOLOGY = probe.ENVIRONMENT.catalogue, probe.ENVIRONMENT.topology
# What has come with a package of Debian's is its packager's.
OURS = """
for timer in /etc/systemd/system/*.timer; do
  test ! -e "$timer" || systemctl show -P Unit "$(basename "$timer")"
done
"""
# `--wait`: a unit of another type than oneshot counts as started before it has done anything.
RUN = """
systemctl start --wait "$1" || journalctl -q --no-pager -o cat -n 20 -u "$1"
systemctl show -P Result "$1"
"""


def units() -> dict[str, str]:
    """Return the units that timers of ours start, and a node of each."""
    return {unit: node for node in TOPOLOGY.nodes for unit in remote.run(node, ["sh", "-c", OURS]).split()}


def test_what_timers_start_ends_well() -> None:
    found = units()
    services = CATALOGUE.services.values()
    listed = {s.unit for s in services if s.unit.endswith(".timer") and TOPOLOGY.members(s.group)}
    assert {unit.replace(".timer", ".service") for unit in listed} <= found.keys()
    said = {
        unit: remote.run(node, ["sudo", "sh", "-c", RUN, "sh", unit]).strip() for unit, node in found.items()
    }
    assert said == dict.fromkeys(found, "success")
