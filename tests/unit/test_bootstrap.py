"""The bootstrap's pure parts: what a machine is, what stands in the way, what would change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millrace import daemon, image, machine, system, terraform
from millrace.bootstrap import backports_source
from millrace.console import MillraceError
from millrace.paths import repo_root

BRIDGE = daemon.Bridge("millrace0", "10.77.0.0/24", "10.77.0.1")
WANTED = machine.Wanted(BRIDGE, 14080)
DEBIAN_12 = system.OsRelease("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)")
ARCHIVE = system.AptSource(("deb",), "http://mirror.example/debian", ("bookworm",), ("main",), None)
READY = machine.Facts(DEBIAN_12, privileged=True, missing=(), memory=16000, disk=100.0)
BARE = replace(
    READY,
    missing=("git", "incus"),
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


def test_the_topology_is_read_without_yaml() -> None:
    wanted = machine.wanted_by(
        (repo_root() / "inventories" / "lab" / "topology.yml").read_text(encoding="utf-8")
    )
    assert wanted.bridge == BRIDGE
    assert wanted.memory > 8 * 1024
    with pytest.raises(MillraceError, match=r"network\.bridge"):
        machine.wanted_by("network:\n  cidr: 10.0.0.0/24\n  # bridge: commented\n  gateway: 10.0.0.1\n")


def test_a_ready_machine_has_no_problem_and_no_change() -> None:
    assert machine.problems(READY, WANTED) == []
    assert machine.plan(READY, WANTED) == []


def test_a_bare_machine_lists_every_kind_of_change() -> None:
    assert machine.problems(BARE, WANTED) == []
    plan = "\n".join(machine.plan(BARE, WANTED))
    for word in (
        "bookworm-backports",
        "git incus",
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
    ],
)
def test_what_stands_in_the_way_is_said(facts: machine.Facts, word: str) -> None:
    problems = machine.problems(facts, WANTED)
    assert len(problems) == 1
    assert word in problems[0]


def test_a_system_that_is_not_supported_but_has_everything_will_do() -> None:
    assert machine.problems(replace(READY, os=replace(DEBIAN_12, id="fedora")), WANTED) == []


def test_a_lab_that_exists_needs_less_disk() -> None:
    assert machine.problems(replace(READY, disk=10.0, lab_exists=True), WANTED) == []


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
