"""What the lab needs of a machine: packages, the daemon, a bridge, room for containers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from millrace import system
from millrace.console import MillraceError
from millrace.machine import bootstrap, bridge, findings, sudo
from millrace.machine.bridge import Surroundings
from millrace.model.topology import load_topology
from millrace.paths import repo_root
from millrace.providers import terraform
from millrace.providers.lab import daemon
from millrace.providers.lab import findings as lab_findings
from millrace.providers.lab.findings import LabFound
from millrace.providers.lab.needs import LabPreparation

if TYPE_CHECKING:
    from pathlib import Path

# Of no environment: what the lab's is stands in its topology and may be changed there.
BRIDGE = daemon.Bridge("millrace0", "10.77.0.0/24", "10.77.0.1")
WANTED = findings.Wanted(14080, LabPreparation(BRIDGE))
DEBIAN_12 = system.OsRelease("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)")
NOBLE = system.OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04 LTS")
ARCHIVE = system.AptSource(("deb",), "http://mirror.example/debian", ("bookworm",), ("main",), None)
LAB = LabFound(BRIDGE)
READY = findings.Facts(DEBIAN_12, privileged=True, missing=(), memory=16000, disk=100.0, found=LAB)
BARE = replace(
    READY,
    missing=("git", "incus-base"),
    late=("incus-base",),
    backports=ARCHIVE,
    found=LabFound(
        BRIDGE,
        installs=True,
        subid_files=("/etc/subuid", "/etc/subgid"),
        low_limits=("kernel.keys.maxkeys",),
        daemon_runs=False,
        systemd=False,
        bridge_settings=None,
        has_pool=False,
    ),
)


def test_the_topology_is_read_without_yaml() -> None:
    path = repo_root() / "inventories" / "lab" / "topology.yml"
    wanted = findings.wanted_by(path.read_text(encoding="utf-8"))
    topology = load_topology(path)
    network = topology.network
    assert network is not None
    assert network.bridge is not None
    assert wanted.preparation == LabPreparation(
        daemon.Bridge(network.bridge, str(network.cidr), str(network.gateway))
    )
    assert wanted.memory == topology.memory
    with pytest.raises(MillraceError, match=r"network\.bridge"):
        findings.wanted_by(
            "provider: lab\nnetwork:\n  cidr: 10.0.0.0/24\n  # bridge: commented\n  gateway: 10.0.0.1\n"
        )


@pytest.mark.parametrize(
    "network",
    [
        "network: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, bridge: own0}\n",
        "network:\n  {bridge: own0, gateway: 10.0.0.1, cidr: 10.0.0.0/24}\n",
        "network:\n  gateway: '10.0.0.1'\n  cidr: 10.0.0.0/24 # the nodes'\n  bridge: own0\n",
    ],
)
def test_the_network_is_read_however_it_is_written(network: str) -> None:
    # A node may be called as a key of the network is.
    nodes = "nodes:\n  gateway: {groups: [kafka], address: 10.0.0.5, cores: 1, memory: 512, disk: 4}\n"
    for text in (network + nodes, nodes + network):
        wanted = findings.wanted_by(f"provider: lab\n{text}")
        assert wanted.preparation == LabPreparation(daemon.Bridge("own0", "10.0.0.0/24", "10.0.0.1"))
        assert wanted.memory == 512


@pytest.mark.parametrize(
    ("release", "package"),
    [(DEBIAN_12, "incus-base"), (replace(DEBIAN_12, version="13"), "incus-base"), (NOBLE, "incus")],
)
def test_of_incus_comes_what_containers_need_and_its_advice_is_put_right(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    release: system.OsRelease,
    package: str,
) -> None:
    commands: list[list[str]] = []
    started: list[bool] = []

    def stream(words: list[str]) -> int:
        commands.append(words)
        return 0

    monkeypatch.setattr(bootstrap, "stream", stream)
    monkeypatch.setattr(bootstrap, "_has", lambda _: False)
    monkeypatch.setattr(system, "read_os_release", lambda: release)
    monkeypatch.setattr(sudo, "privileged", lambda: True)
    monkeypatch.setattr(sudo, "exists", lambda _: False)
    monkeypatch.setattr(sudo, "write", lambda *_, **__: None)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    monkeypatch.setattr(bridge, "look", lambda *_, **__: Surroundings())
    monkeypatch.setattr(daemon, "start", lambda *, installed: started.append(installed))
    monkeypatch.setattr(daemon, "set_up", lambda _: None)
    facts = bootstrap.look(WANTED)
    assert {package, "git"} <= set(facts.missing)
    bootstrap.change(facts, WANTED)
    assert started == [True]
    last = next(words for words in commands if package in words)
    assert ("bookworm-backports" in last) is (release == DEBIAN_12)
    assert not {"incus", "incus-base"} - {package} & {word for words in commands for word in words}
    assert "`incus admin init`, which the package advises, is not needed" in capsys.readouterr().out
    bootstrap.change(replace(READY, missing=("git",)), WANTED)
    assert "admin init" not in capsys.readouterr().out


def test_a_machine_that_has_either_package_of_incus_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sudo, "privileged", lambda: False)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    monkeypatch.setattr(system, "read_os_release", lambda: DEBIAN_12)
    for there in (True, False):
        monkeypatch.setattr(bootstrap, "_has", lambda evidence, there=there: evidence != "incus" or there)
        assert bootstrap.look(WANTED).missing == (() if there else ("incus-base",))


def test_throw_away_containers_get_addresses_apart_from_the_nodes() -> None:
    assert BRIDGE.config["ipv4.dhcp.ranges"] == "10.77.0.100-10.77.0.250"
    assert BRIDGE.config["ipv4.address"] == "10.77.0.1/24"
    assert "ipv4.dhcp.ranges" not in daemon.Bridge("b", "10.0.0.0/28", "10.0.0.1").config


def test_only_settings_that_differ_are_changed() -> None:
    assert daemon.missing_settings({**BRIDGE.config, "ipv4.nat": "false"}, BRIDGE.config) == {
        "ipv4.nat": "true"
    }


def _beside(**found: tuple[str, ...]) -> findings.Facts:
    return replace(READY, found=replace(LAB, surroundings=Surroundings(**found)))


def test_a_ready_machine_has_no_problem_and_no_change() -> None:
    assert findings.problems(READY, WANTED) == []
    assert findings.plan(READY) == []


def test_a_bare_machine_lists_every_kind_of_change() -> None:
    assert findings.problems(BARE, WANTED) == []
    plan = "\n".join(findings.plan(BARE))
    for word in (
        "bookworm-backports",
        "git incus-base",
        "kernel.keys.maxkeys=2000",
        "/etc/subuid",
        "PID 1 is not systemd",
        "NAT",
        "storage pool",
    ):
        assert word in plan


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (replace(BARE, os=replace(DEBIAN_12, id="fedora", version="42", pretty="Fedora 42")), "Fedora 42"),
        (replace(READY, privileged=False), "root or sudo"),
        (replace(READY, terraform=None), "OpenTofu"),
        (replace(BARE, backports=None), "bookworm-backports"),
        (replace(READY, memory=8000), "14080 MiB"),
        (replace(BARE, disk=10.0), "16 GiB"),
        (replace(READY, disk=1.5), "2 GiB"),
        (replace(READY, found=replace(LAB, bridge_taken=True)), "millrace0"),
        (_beside(overlapping=("tun0",)), "tun0"),
        (
            _beside(ports_taken=("53/tcp is taken by unbound (process 812)",)),
            "53/tcp is taken by unbound",
        ),
    ],
)
def test_what_stands_in_the_way_is_said(facts: findings.Facts, word: str) -> None:
    problems = findings.problems(facts, WANTED)
    assert len(problems) == 1
    assert word in problems[0]


def test_a_lab_that_exists_needs_less_disk() -> None:
    assert findings.problems(replace(READY, disk=10.0), WANTED) == []


def test_a_bridge_that_another_environments_nodes_use_is_not_changed() -> None:
    changed = replace(LAB, bridge_settings={"ipv4.address": "10.1.0.1/24"})
    assert changed.problems() == []
    assert replace(LAB, bridge_others=("millrace-tier/db-1",)).problems() == []
    (problem,) = replace(changed, bridge_others=("millrace-tier/db-1",)).problems()
    assert "has other addresses, and with them run millrace-tier/db-1; change network.bridge" in problem


def test_other_environments_nodes_are_those_of_their_projects() -> None:
    used_by = [
        "/1.0/instances/db-1?project=millrace-tier",
        "/1.0/instances/db-1?project=millrace-lab",
        "/1.0/instances/kafka-default",
        "/1.0/profiles/default?project=millrace-tier",
    ]
    assert daemon.other_nodes(used_by, "millrace-lab") == ["millrace-tier/db-1"]
    assert daemon.other_nodes(used_by, "millrace-x") == ["millrace-lab/db-1", "millrace-tier/db-1"]


def test_the_module_that_filters_bridges_is_loaded_now_and_at_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    name = "net.bridge.bridge-nf-call-ip6tables"
    monkeypatch.setattr(sudo, "write", lambda path, text: done.append(f"{path}: {text.strip()}"))
    monkeypatch.setattr(lab_findings, "run", lambda words: done.append(words[-2] + " " + words[-1]))
    monkeypatch.setattr(daemon, "set_up", lambda _: None)
    found = replace(LAB, has_bridge_module=False, low_limits=(name,))
    assert "load the kernel module br_netfilter, now and at boot" in found.plan()[0]
    found.change()
    assert done[:2] == ["/etc/modules-load.d/60-millrace.conf: br_netfilter", "modprobe br_netfilter"]
    assert done[-1] == f"/proc/sys/{name.replace('.', '/')}: 1"
    assert LAB.plan() == []


def test_a_limit_without_its_module_is_below_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lab_findings, "limit_path", lambda name: tmp_path / name)
    (tmp_path / "there").write_text("7\n", encoding="ascii")
    assert (lab_findings.limit("there"), lab_findings.limit("not-there")) == (7, -1)
