"""What an image holds: apt sources from this machine's own, and the versions that its name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millrace import system
from millrace.providers import debian_image

if TYPE_CHECKING:
    from pathlib import Path

SIMULATED = """\
Inst libc6 (2.41-12 Debian:13.8/stable [amd64])
Inst dash [0.5.12-11] (0.5.12-12 Debian:13.8/stable [amd64])
Conf libc6 (2.41-12 Debian:13.8/stable [amd64])
"""
MAIN = system.AptSource(("deb",), "http://mirror.example/debian", ("bookworm",), ("main",), None)
SECURITY = system.AptSource(
    ("deb",), "http://other.example/security", ("bookworm-security",), ("main",), None
)
THIRD = system.AptSource(("deb",), "http://third.example", ("tool-security",), ("main",), None)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[system.AptSource]:
    """Have a Debian machine with these sources, which the test may change."""
    sources = [THIRD, MAIN, SECURITY]
    release = system.OsRelease("debian", "12", "bookworm", "Debian")
    monkeypatch.setattr(debian_image, "read_os_release", lambda: release)
    monkeypatch.setattr(debian_image, "read_apt_sources", lambda: sources)
    return sources


def places(lines: list[str]) -> list[list[str]]:
    return [line.split()[2:] for line in lines]


@pytest.mark.usefixtures("machine")
def test_security_comes_from_where_this_machine_has_it() -> None:
    assert places(debian_image.sources()) == [
        ["http://mirror.example/debian", "trixie", "main"],
        ["http://mirror.example/debian", "trixie-updates", "main"],
        ["http://other.example/security", "trixie-security", "main"],
    ]


def test_a_machine_without_security_says_so(
    machine: list[system.AptSource], capsys: pytest.CaptureFixture[str]
) -> None:
    machine.remove(SECURITY)
    assert [suite for _, suite, _ in places(debian_image.sources())] == ["trixie", "trixie-updates"]
    assert "no apt source of Debian's security suite" in capsys.readouterr().out


@pytest.mark.usefixtures("machine")
def test_another_distribution_leaves_it_to_mmdebstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    ubuntu = system.OsRelease("ubuntu", "24.04", "noble", "Ubuntu")
    monkeypatch.setattr(debian_image, "read_os_release", lambda: ubuntu)
    assert debian_image.sources() == []
    # Of the week, as there is nobody to ask.
    assert len(debian_image.versions(["curl"])) == 8


def test_versions_are_those_of_what_would_be_installed() -> None:
    assert debian_image.parse_versions(SIMULATED) == ["dash 0.5.12-12", "libc6 2.41-12"]


@pytest.mark.usefixtures("machine")
def test_another_version_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for said in (SIMULATED, SIMULATED.replace("Conf", "Remv"), SIMULATED.replace("2.41-12", "2.41-13")):
        monkeypatch.setattr(debian_image, "_ask_apt", lambda *_, said=said: said)
        names.append(debian_image.versions(["curl"]))
    assert names[0] == names[1] != names[2]


@pytest.mark.usefixtures("machine")
def test_apt_is_asked_beside_this_machines_own_lists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def run(command: list[str]) -> str:
        asked.append(command)
        return "amd64\n" if command[0] == "dpkg" else SIMULATED

    monkeypatch.setattr(debian_image, "run", run)
    monkeypatch.setattr(debian_image, "cache_dir", lambda: tmp_path)
    debian_image.versions(["curl"])
    assert [command[-1] for command in asked] == ["--print-architecture", "update", "curl"]
    settings = (tmp_path / "images" / "apt" / "apt.conf").read_text(encoding="utf-8")
    assert f'Dir::State::Lists "{tmp_path}/images/apt/lists";' in settings
    assert 'APT::Architectures { "amd64"; };' in settings
