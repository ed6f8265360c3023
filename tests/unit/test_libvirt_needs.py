"""What libvirt needs of a machine: its daemon, the user's group, a bridge that is free."""

from __future__ import annotations

import grp
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from millrace.console import MillraceError
from millrace.machine import bridge, sudo
from millrace.machine.bridge import Bridge, Surroundings
from millrace.model.outline import Outline
from millrace.providers.interface import Machine
from millrace.providers.libvirt import needs, nodes, virsh
from millrace.providers.libvirt.needs import LibvirtFound
from millrace.system import OsRelease

NETWORK = {"bridge": "millrace2", "cidr": "10.80.0.0/24", "gateway": "10.80.0.1"}
READY = LibvirtFound(Bridge("millrace2", "10.80.0.0/24", "10.80.0.1"))
MACHINE = Machine(OsRelease("debian", "13", "trixie", "Debian 13"), privileged=True, missing=())


def test_a_ready_machine_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "start", lambda: pytest.fail("the daemons were started"))
    assert (READY.problems(), READY.plan()) == ([], [])
    READY.change()


def test_what_is_in_the_way_is_told_with_its_cure() -> None:
    (taken,) = replace(READY, bridge_taken=True).problems()
    assert "the bridge millrace2 is there and not this environment's" in taken
    (refused,) = replace(READY, member=False).problems()
    assert "`sudo adduser $USER libvirt`, then log in again" in refused
    (overlap,) = replace(READY, surroundings=Surroundings(overlapping=("eth0",))).problems()
    assert "addresses of 10.80.0.0/24 are already reached through eth0" in overlap


@pytest.mark.parametrize(("systemd", "how"), [(True, "by systemd"), (False, "as background processes")])
def test_daemons_that_do_not_run_are_started(
    systemd: bool,  # noqa: FBT001 - a parameter
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    monkeypatch.setattr(needs, "start", lambda: started.append("daemons"))
    found = replace(READY, daemon_runs=False, systemd=systemd)
    (line,) = found.plan()
    assert how in line
    found.change()
    assert started == ["daemons"]


@pytest.mark.parametrize(("user", "groups", "inside"), [(0, [], True), (7, [42], True), (7, [1], False)])
def test_root_and_the_group_may_talk_to_the_daemon(
    user: int,
    groups: list[int],
    inside: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getgroups", lambda: groups)
    monkeypatch.setattr(grp, "getgrnam", lambda _: SimpleNamespace(gr_gid=42))
    assert virsh.member() is inside
    monkeypatch.setattr(virsh, "running", lambda: False)
    with pytest.raises(MillraceError, match="make bootstrap" if inside else "adduser"):
        nodes.require_daemon()


def test_it_looks_at_the_daemon_and_its_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "x")
    prepared = needs.preparation(Outline("libvirt", 1024, NETWORK))
    monkeypatch.setattr(virsh, "running", lambda: True)
    monkeypatch.setattr(virsh, "networks", lambda: {"millrace-x": "millrace2"})
    monkeypatch.setattr(bridge, "exists", lambda _: True)
    monkeypatch.setattr(bridge, "look", lambda *_, **__: Surroundings())
    found = prepared.look(MACHINE)
    assert (found.exists, found.bridge_taken, found.member) == (True, False, True)
    # Another network's bridge, whether it is up or not.
    monkeypatch.setattr(virsh, "networks", lambda: {"default": "millrace2"})
    for up in (True, False):
        monkeypatch.setattr(bridge, "exists", lambda _, up=up: up)
        found = prepared.look(MACHINE)
        assert (found.exists, found.bridge_taken) == (False, True)
    monkeypatch.setattr(bridge, "exists", lambda _: True)
    # A daemon that does not run, of which the network's file is left: our own bridge is in nobody's way.
    monkeypatch.setattr(virsh, "running", lambda: False)
    monkeypatch.setattr(sudo, "exists", lambda path: path == needs.NETWORKS / "millrace-x.xml")
    found = prepared.look(MACHINE)
    assert (found.exists, found.bridge_taken, found.daemon_runs) == (True, False, False)
    monkeypatch.setattr(virsh, "running", lambda: True)
    monkeypatch.setattr(virsh, "networks", dict)
    found = prepared.look(MACHINE)
    assert (found.exists, found.bridge_taken) == (False, True)


def test_its_packages_are_those_that_provider_and_image_call() -> None:
    packages = needs.preparation(Outline("libvirt", 1024, NETWORK)).needs(MACHINE.os).packages
    assert {"virsh", "libvirtd", "mkisofs", "xsltproc", "mmdebstrap", "mkfs.ext4"} <= set(packages.values())
