"""The bootstrap's pure parts: what a machine is, what stands in the way, what would change."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from millrace import system
from millrace.console import MillraceError
from millrace.machine import bootstrap, findings
from millrace.machine.bootstrap import backports_source
from millrace.model.topology import load_topology
from millrace.paths import repo_root
from millrace.providers import terraform
from millrace.providers.lab import daemon, image, incus
from millrace.providers.lab.needs import NEEDS

# Of no environment: what the lab's is stands in its topology and may be changed there.
BRIDGE = daemon.Bridge("millrace0", "10.77.0.0/24", "10.77.0.1")
WANTED = findings.Wanted(BRIDGE, 14080)
DEBIAN_12 = system.OsRelease("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)")
ARCHIVE = system.AptSource(("deb",), "http://mirror.example/debian", ("bookworm",), ("main",), None)
READY = findings.Facts(DEBIAN_12, privileged=True, missing=(), memory=16000, disk=100.0)
BARE = replace(
    READY,
    missing=("git", "incus-base"),
    backports=ARCHIVE,
    subid_files=("/etc/subuid", "/etc/subgid"),
    low_limits=("kernel.keys.maxkeys",),
    daemon_runs=False,
    systemd=False,
    bridge_settings=None,
    has_pool=False,
)

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
millrace0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


# In the machine's byte order: a connection, the gateway's DNS, a resolver on loopback, SSH at all addresses.
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 01004D0A:0035 0200000A:A0B0 01 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0
   1: 01004D0A:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0
   2: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 102 1 0 100 0
   3: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0 100 0
"""
UDP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref
   0: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 201 2 0 0
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 101 0 301 1
   1: 0000000000000000FFFF000001004D0A:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 101 0 302 1
   2: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 101 0 303 1
"""


def test_os_release_with_and_without_quotes() -> None:
    text = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n'
    assert system.parse_os_release(text) == system.OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04.1 LTS")


def test_an_unknown_system_has_a_name_for_messages() -> None:
    assert system.parse_os_release("").pretty == "an unknown distribution"


def test_one_line_sources_with_options_comments_and_source_packages() -> None:
    text = (
        "# deb http://old.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/keys/k.gpg] http://a.example/debian bookworm main contrib # x\n"
        "deb-src http://a.example/debian bookworm main\n"
    )
    sources = system.parse_one_line_sources(text)
    assert sources == [
        system.AptSource(
            ("deb",),
            "http://a.example/debian",
            ("bookworm",),
            ("main", "contrib"),
            "/keys/k.gpg",
        ),
        system.AptSource(("deb-src",), "http://a.example/debian", ("bookworm",), ("main",), None),
    ]
    assert system.archive(sources[1:], "bookworm") is None


def test_deb822_sources_with_several_uris_comments_and_disabled_stanzas() -> None:
    text = (
        "Types: deb\n# a comment\nURIs: http://a.example/debian http://b.example/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n"
        "Types: deb\nURIs: http://c.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n"
    )
    sources = system.parse_deb822_sources(text)
    assert [source.uri for source in sources] == ["http://a.example/debian", "http://b.example/debian"]
    found = system.archive(sources, "bookworm")
    assert found is not None
    assert (found.uri, found.signed_by) == ("http://a.example/debian", "/k.gpg")


def test_the_mirror_is_the_archive_and_not_the_security_one() -> None:
    security = system.AptSource(
        ("deb",), "http://s.example/debian-security", ("bookworm-security",), ("main",), None
    )
    assert system.debian_mirror([security, ARCHIVE]) == "http://mirror.example/debian"
    assert system.debian_mirror([security]) is None


def test_backports_come_from_the_same_mirror_with_the_same_key() -> None:
    text = backports_source(replace(ARCHIVE, signed_by="/k.gpg"))
    assert system.parse_deb822_sources(text) == [
        system.AptSource(
            ("deb",), "http://mirror.example/debian", ("bookworm-backports",), ("main",), "/k.gpg"
        )
    ]


def test_only_other_interfaces_than_our_bridge_overlap_and_the_default_route_does_not() -> None:
    routes = system.parse_routes(ROUTES)
    assert system.overlaps("10.77.0.0/24", "millrace0", routes) == ["tun0"]
    assert system.overlaps("192.0.2.128/25", "millrace0", routes) == ["eth0"]
    assert system.overlaps("172.16.0.0/12", "millrace0", routes) == []


def test_listeners_are_those_that_wait() -> None:
    found = system.parse_listeners("tcp", TCP)
    assert [(str(one.address), one.port, one.inode) for one in found] == [
        ("10.77.0.1", 53, 101),
        ("127.0.0.53", 53, 102),
        ("0.0.0.0", 22, 103),  # noqa: S104 - nothing is bound
    ]
    found = system.parse_listeners("tcp", TCP6)
    assert [(str(one.address), one.port) for one in found] == [("::", 53), ("10.77.0.1", 53), ("::1", 53)]
    assert [one.protocol for one in system.parse_listeners("udp", UDP)] == ["udp"]


def test_in_the_bridges_way_is_who_listens_at_its_address_or_at_all() -> None:
    listeners = [
        *system.parse_listeners("tcp", TCP + TCP6.partition("\n")[2]),
        *system.parse_listeners("udp", UDP),
    ]
    found = system.in_the_way(listeners, "10.77.0.1", findings.BRIDGE_PORTS)
    assert [one.inode for one in found] == [101, 301, 302, 201]
    assert [one.inode for one in system.in_the_way(listeners, "10.9.0.1", {("tcp", 53)})] == [301]


def test_a_taken_port_is_told_with_its_process_where_that_is_known() -> None:
    listeners = [*system.parse_listeners("tcp", TCP6), *system.parse_listeners("udp", UDP)]
    opened = "/proc/812/fd/5 socket:[301]\n/proc/812/fd/7 socket:[302]\n/proc/9/fd/3 socket:[301]\nx\n"
    assert system.parse_open_sockets(opened) == {301: 812, 302: 812}
    in_the_way = system.in_the_way(listeners, "10.77.0.1", findings.BRIDGE_PORTS)
    assert findings.taken_ports(in_the_way, {301: ("unbound", 812), 302: ("unbound", 812)}) == (
        "53/tcp is taken by unbound (process 812)",
        "67/udp is taken by a process that could not be found",
    )


@pytest.mark.parametrize("name", ["dnsmasq", "systemd-network"])
def test_who_serves_another_bridge_shares_the_port_of_dhcp_but_not_that_of_dns(name: str) -> None:
    tcp, udp = system.parse_listeners("tcp", TCP)[0], system.parse_listeners("udp", UDP)[0]
    holders = {tcp.inode: (name, 7), udp.inode: (name, 7)}
    assert findings.taken_ports([tcp, udp], holders) == (f"53/tcp is taken by {name} (process 7)",)


@pytest.mark.parametrize(("interface", "asked"), [("lo", False), ("nosuch0", True)])
def test_ports_matter_only_where_the_bridge_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, interface: str, *, asked: bool
) -> None:
    monkeypatch.setattr(bootstrap, "_privileged", lambda: True)
    monkeypatch.setattr(bootstrap, "_as_root_exists", lambda _: False)
    monkeypatch.setattr(bootstrap, "_taken_ports", lambda gateway: (f"53/tcp at {gateway} is taken",))
    monkeypatch.setattr(incus, "running", lambda: False)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    facts = bootstrap.look(replace(WANTED, bridge=replace(BRIDGE, name=interface)))
    assert facts.ports_taken == (("53/tcp at 10.77.0.1 is taken",) if asked else ())


def test_the_process_behind_a_socket_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        assert [
            one.port
            for one in system.parse_listeners("tcp", Path("/proc/net/tcp").read_text(encoding="ascii"))
            if one.inode == inode
        ] == [server.getsockname()[1]]
        if os.geteuid() == 0:  # as others, sudo may want a password
            name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
            assert bootstrap._holders()[inode] == (name, os.getpid())  # noqa: SLF001 - what reads /proc


def test_the_topology_is_read_without_yaml() -> None:
    path = repo_root() / "inventories" / "lab" / "topology.yml"
    wanted = findings.wanted_by(path.read_text(encoding="utf-8"))
    topology = load_topology(path)
    network = topology.network
    assert network is not None
    assert network.bridge is not None
    assert wanted.bridge == daemon.Bridge(network.bridge, str(network.cidr), str(network.gateway))
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
        assert wanted.bridge == daemon.Bridge("own0", "10.0.0.0/24", "10.0.0.1")
        assert wanted.memory == 512


NOBLE = system.OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04 LTS")


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

    def stream(words: list[str]) -> int:
        commands.append(words)
        return 0

    monkeypatch.setattr(bootstrap, "stream", stream)
    monkeypatch.setattr(incus, "root_command", lambda *words: list(words))
    missing = tuple(bootstrap.wanted_packages(NEEDS, release))
    bootstrap.install(replace(BARE, os=release, missing=missing, has_backports=True), missing)
    last = next(words for words in commands if package in words)
    assert ("bookworm-backports" in last) is (release == DEBIAN_12)
    assert not {"incus", "incus-base"} - {package} & {word for words in commands for word in words}
    assert "`incus admin init`, which the package advises, is not needed" in capsys.readouterr().out
    bootstrap.install(replace(BARE, os=release), ("git",))
    assert "admin init" not in capsys.readouterr().out


def test_a_machine_that_has_either_package_of_incus_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_privileged", lambda: False)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    monkeypatch.setattr(system, "read_os_release", lambda: DEBIAN_12)
    for there in (True, False):
        monkeypatch.setattr(bootstrap, "_has", lambda evidence, there=there: evidence != "incus" or there)
        assert bootstrap.look(replace(WANTED, needs=NEEDS)).missing == (() if there else ("incus-base",))


def test_a_ready_machine_has_no_problem_and_no_change() -> None:
    assert findings.problems(READY, WANTED) == []
    assert findings.plan(READY, WANTED) == []


def test_a_bare_machine_lists_every_kind_of_change() -> None:
    assert findings.problems(BARE, WANTED) == []
    plan = "\n".join(findings.plan(BARE, WANTED))
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
        (replace(READY, disk=10.0), "16 GiB"),
        (replace(READY, disk=1.5, lab_exists=True), "2 GiB"),
        (replace(READY, bridge_taken=True), "millrace0"),
        (replace(READY, overlapping=("tun0",)), "tun0"),
        (
            replace(READY, ports_taken=("53/tcp is taken by unbound (process 812)",)),
            "53/tcp is taken by unbound",
        ),
    ],
)
def test_what_stands_in_the_way_is_said(facts: findings.Facts, word: str) -> None:
    problems = findings.problems(facts, WANTED)
    assert len(problems) == 1
    assert word in problems[0]


def test_a_system_that_is_not_supported_but_has_everything_will_do() -> None:
    assert findings.problems(replace(READY, os=replace(DEBIAN_12, id="fedora")), WANTED) == []


def test_a_lab_that_exists_needs_less_disk() -> None:
    assert findings.problems(replace(READY, disk=10.0, lab_exists=True), WANTED) == []


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Lack what the tool environment needs, at a terminal; return the list of what gets installed."""
    installed: list[tuple[str, ...]] = []
    monkeypatch.setattr(bootstrap, "_has", lambda _: False)
    monkeypatch.setattr(bootstrap, "_privileged", lambda: True)
    monkeypatch.setattr(bootstrap, "install", lambda _, packages: installed.append(packages))
    monkeypatch.setattr(system, "read_os_release", lambda: DEBIAN_12)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.delenv("YES", raising=False)
    return installed


def test_nobody_is_asked_for_packages_where_the_question_is_not_seen(
    bare: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("a question was asked"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    with pytest.raises(MillraceError, match=r"needs the packages python3-venv; `make tools` installs them"):
        bootstrap.main(["--tools"])
    assert bare == []
    monkeypatch.setenv("YES", "1")
    assert bootstrap.main(["--tools"]) == 0
    assert bare == [("python3-venv",)]


def test_where_the_question_is_seen_the_answer_counts(
    bare: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    with pytest.raises(MillraceError, match="nothing was changed"):
        bootstrap.main(["--tools"])
    assert bare == []
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert bootstrap.main(["--tools"]) == 0
    assert bare == [("python3-venv",)]


def test_without_a_terminal_the_answer_is_no_and_the_way_to_yes_is_named(
    bare: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("a question was asked"))
    with pytest.raises(MillraceError, match="nothing was changed"):
        bootstrap.main(["--tools"])
    assert bare == []
    assert "YES=1" in capsys.readouterr().out
    monkeypatch.setenv("YES", "1")
    assert bootstrap.main(["--tools"]) == 0
    assert bare == [("python3-venv",)]


def test_throw_away_containers_get_addresses_apart_from_the_nodes() -> None:
    assert BRIDGE.config["ipv4.dhcp.ranges"] == "10.77.0.100-10.77.0.250"
    assert BRIDGE.config["ipv4.address"] == "10.77.0.1/24"
    assert "ipv4.dhcp.ranges" not in daemon.Bridge("b", "10.0.0.0/28", "10.0.0.1").config


def test_only_settings_that_differ_are_changed() -> None:
    assert daemon.missing_settings({**BRIDGE.config, "ipv4.nat": "false"}, BRIDGE.config) == {
        "ipv4.nat": "true"
    }


def test_the_image_has_another_name_when_its_recipe_changes() -> None:
    assert image.recipe_hash() == image.recipe_hash(tuple(reversed(image.PACKAGES)))
    assert image.recipe_hash() != image.recipe_hash((*image.PACKAGES, "vim"))
    assert image.recipe_hash() != image.recipe_hash(hooks=(*image.HOOKS, "true"))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('{"terraform_version": "1.11.4"}', (1, 11, 4)),
        ('{"terraform_version": "1.8.0-rc1"}', (1, 8, 0)),
        ("?", (0, 0, 0)),
    ],
)
def test_versions_of_terraform_and_tofu(text: str, version: tuple[int, int, int]) -> None:
    assert terraform.parse_version(text) == version
