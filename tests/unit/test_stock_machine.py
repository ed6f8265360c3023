"""The test of the operator's machine: what it hands to a stock Debian, and how it sits at its terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import mirrors
import pytest
import stock_machine
import terminal
import two_nodes
import yaml

from millrace import system
from millrace.machine.findings import places
from millrace.model.neighbours import conflicts
from millrace.model.topology import parse_topology
from millrace.paths import environments, repo_root

if TYPE_CHECKING:
    from pathlib import Path

ASKS = """
import sys
sys.stdout.write("first line\\n[sudo] password for operator: ")
sys.stdout.flush()
given = sys.stdin.readline().strip()
print("welcome" if given == "right" else "Sorry, try again.", flush=True)
sys.exit(3)
"""
DUMP = """\
Acquire "";
Acquire::cdrom::mount "/media/cdrom/";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Verify-Peer "true";
Acquire::Check-Valid-Until "false";
Acquire::http "";
Acquire::Languages:: "none";
APT::Architecture "amd64";
"""


def test_apt_fetches_there_as_here() -> None:
    assert mirrors.apt_settings(DUMP).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::Verify-Peer "true";',
        'Acquire::Check-Valid-Until "false";',
    ]


def test_only_the_variables_of_package_clients_are_handed_over() -> None:
    environ = {
        "PIP_INDEX_URL": "https://pip.example/simple",
        "GOPROXY": "https://go.example",
        "GOPATH": "/here/go",
        "PIP_FIND_LINKS": "/here/wheels",
        "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",
        "https_proxy": "http://proxy.example",
        "HOME": "/here",
        "MY_PIP_TOKEN": "no",
        "AWS_SECRET_ACCESS_KEY": "no",
    }
    assert mirrors.variables(environ).splitlines() == [
        'GOPROXY="https://go.example"',
        'PIP_CERT="/etc/ssl/certs/ca-certificates.crt"',
        'PIP_INDEX_URL="https://pip.example/simple"',
        'https_proxy="http://proxy.example"',
    ]


def test_a_client_s_file_goes_where_the_user_has_it(tmp_path: Path) -> None:
    settings = tmp_path / ".m2" / "settings.xml"
    settings.parent.mkdir()
    settings.write_text("<settings/>")
    found = dict(mirrors.client_files(tmp_path, "operator"))
    assert found[settings] == "/home/operator/.m2/settings.xml"
    assert not any(".pip" in target for target in found.values())


def test_two_nodes_are_a_lab_of_their_own() -> None:
    topology = two_nodes.topology()
    parsed = parse_topology(topology)
    assert sorted(tuple(node.groups) for node in parsed.nodes.values()) == [("kafka",), ("timescaledb",)]
    texts = {
        env: (repo_root() / "inventories" / env / "topology.yml").read_text(encoding="utf-8")
        for env in environments()
    }
    own = places({two_nodes.NAME: yaml.safe_dump(topology, sort_keys=False)})[two_nodes.NAME]
    assert conflicts(own, places(texts)) == []


def test_without_hardware_the_processor_is_emulated(tmp_path: Path) -> None:
    emulated = stock_machine.words(tmp_path, 2222, kvm=False)
    assert "tcg,thread=multi" in emulated
    assert "user,id=net0,hostfwd=tcp:127.0.0.1:2222-:22" in emulated
    assert "kvm" in stock_machine.words(tmp_path, 2222, kvm=True)


def test_missing_programs_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "program", lambda name: None if name.startswith("qemu") else name)
    assert stock_machine.lacking() == ["qemu-system-x86"]


def test_sudo_is_given_its_password_once() -> None:
    said = terminal.run([sys.executable, "-c", ASKS], "right", 60)
    assert (said.status, said.asked) == (3, 1)
    assert said.output.endswith("welcome\n")


def test_a_refused_password_is_told() -> None:
    with pytest.raises(AssertionError, match="refuses"):
        terminal.run([sys.executable, "-c", ASKS], "wrong", 60)


def test_a_command_that_never_ends_is_given_up() -> None:
    with pytest.raises(AssertionError, match="not done after 0 s"):
        terminal.run([sys.executable, "-c", "import time; time.sleep(3600)"], "", 0.2)
