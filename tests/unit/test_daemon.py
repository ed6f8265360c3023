"""Whose the Incus daemon is, before and after a reboot, with systemd and without."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from millrace import system
from millrace.console import MillraceError
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.findings import LabFound

if TYPE_CHECKING:
    from pathlib import Path

BRIDGE = daemon.Bridge("millrace0", "10.77.0.0/24", "10.77.0.1")


@dataclass
class Machine:
    """A machine with a daemon that may be stopped."""

    record: Path
    systemd: bool = True
    boot: int = 1
    process: int = 100
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def identity(self) -> dict[str, Any]:
        """Return what names the process."""
        return {"pid": self.process, "start": 5}

    def root_command(self, *words: str) -> list[str]:
        """Record a command and do nothing."""
        self.commands.append(words)
        return ["true"]

    def reboot(self) -> None:
        """Boot again, after which the daemon is another process."""
        self.boot += 1
        self.process += 1

    def bootstrap(self, *, installs: bool = False) -> None:
        """Run the bootstrap's changes where the daemon doesn't run, or has just been installed."""
        LabFound(BRIDGE, installs=installs, daemon_runs=False).change()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine with systemd, on which nothing is recorded."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = Machine(tmp_path / "millrace" / "daemon.json")
    monkeypatch.setattr(system, "has_systemd", lambda: found.systemd)
    monkeypatch.setattr(daemon, "boot_id", lambda: f"boot-{found.boot}", raising=False)
    monkeypatch.setattr(daemon, "identity", found.identity)
    monkeypatch.setattr(daemon, "binary", lambda: "/bin/true")
    monkeypatch.setattr(daemon, "set_up", lambda _: None)
    monkeypatch.setattr(incus, "root_command", found.root_command)
    monkeypatch.setattr(incus, "running", lambda: True)
    return found


def test_a_unit_that_the_bootstrap_installed_is_ours_after_reboots_too(machine: Machine) -> None:
    machine.bootstrap(installs=True)
    assert daemon.is_ours()
    machine.reboot()
    assert daemon.is_ours()


def test_it_stays_ours_when_a_later_start_or_destroy_finds_the_package_there(machine: Machine) -> None:
    machine.bootstrap(installs=True)
    machine.bootstrap()
    machine.reboot()
    assert daemon.is_ours()
    daemon.stop()
    assert machine.commands[-1] == ("systemctl", "stop", "incus.socket", "incus.service")
    machine.reboot()
    assert daemon.is_ours()


def test_a_unit_that_was_there_is_ours_only_until_the_next_boot(machine: Machine) -> None:
    machine.bootstrap()
    assert daemon.is_ours()
    machine.reboot()
    assert not daemon.is_ours()


def test_without_systemd_ours_is_the_process_of_this_boot(machine: Machine) -> None:
    machine.systemd = False
    machine.bootstrap(installs=True)
    assert daemon.is_ours()
    machine.process += 1
    assert not daemon.is_ours()
    machine.process -= 1
    machine.boot += 1  # the same number may come again
    assert not daemon.is_ours()


def test_a_daemon_that_cannot_be_started_is_said_at_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.systemd = False
    monkeypatch.setattr(incus, "root_command", lambda *_: ["false"])
    monkeypatch.setattr(incus, "running", lambda: pytest.fail("waited for a daemon that did not start"))
    with pytest.raises(MillraceError, match=r"could not be started \(status 1\); see .*incusd\.log"):
        machine.bootstrap(installs=True)
    assert not machine.record.exists()


def test_a_daemon_of_which_nothing_is_recorded_is_not_ours(machine: Machine) -> None:
    assert not machine.record.exists()
    assert not daemon.is_ours()


def test_a_record_of_an_earlier_version_still_counts(machine: Machine) -> None:
    machine.record.parent.mkdir()
    machine.record.write_text(json.dumps(machine.identity()), encoding="utf-8")
    machine.systemd = False
    assert daemon.is_ours()
    machine.reboot()
    assert not daemon.is_ours()
