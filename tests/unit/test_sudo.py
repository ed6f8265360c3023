"""A sudo that wants a password: asked for where there is a terminal, and said where there is none."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from millrace import console
from millrace.console import CommandError, SudoError
from millrace.machine import bootstrap, sudo
from millrace.providers.lab import incus
from millrace.verbs import durations, phases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# It asks at `sudo -v`, speaks German where it may, and has a ticket while the file is there.
SUDO = """#!/bin/sh
here=${0%/*}
echo "$*" >> "$here/calls"
if [ "$1" = -v ]; then
  if [ -e "$here/forgets" ]; then exit 0; fi
  if [ -e "$here/wrong" ]; then exit 1; fi
  : > "$here/ticket"
  exit 0
fi
shift
if [ -e "$here/refuses" ]; then echo "Sorry, user op may not run sudo on here." >&2; exit 1; fi
if [ ! -e "$here/ticket" ]; then
  if [ "$LC_ALL" = C ]; then echo "sudo: a password is required" >&2; else echo "sudo: Passwort nötig" >&2; fi
  exit 1
fi
if [ "$1" = -v ]; then exit 0; fi
if [ "$1" = --preserve-env=INCUS_DIR ]; then shift; fi
exec "$@"
"""
INCUS = """#!/bin/sh
if [ -e "${0%/*}/dead" ]; then echo "Error: connect: connection refused" >&2; exit 1; fi
echo '{}'
"""


@dataclass(frozen=True)
class Machine:
    """Where the programs lie, with files beside them that say how they behave."""

    home: Path

    def set(self, what: str) -> None:
        """Let them behave in that way."""
        (self.home / what).touch()

    @property
    def asked(self) -> int:
        """How often the operator was asked for the password."""
        calls = self.home / "calls"
        return calls.read_text(encoding="utf-8").splitlines().count("-v") if calls.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Be a user with sudo and without a ticket, at a terminal."""
    for name, text in (("sudo", SUDO), ("incus", INCUS)):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("INCUS_DIR", str(tmp_path / "no-socket"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    return Machine(tmp_path)


def test_at_a_terminal_the_password_is_asked_for_and_the_daemon_found(machine: Machine) -> None:
    assert incus.running()
    assert incus.running()
    assert machine.asked == 1


def test_without_a_terminal_it_is_sudo_that_does_not_answer_and_not_the_daemon(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(
        SudoError, match=r"^sudo wants a password, and there is no terminal [^\n]*as root[^\n]*$"
    ):
        incus.running()
    assert machine.asked == 0


def test_a_daemon_that_does_not_answer_is_told_apart(machine: Machine) -> None:
    machine.set("dead")
    assert not incus.running()


@pytest.mark.parametrize(
    ("behaviour", "message"), [("wrong", "not given the right password"), ("forgets", "forgets its password")]
)
def test_a_password_that_does_not_help_is_said(machine: Machine, behaviour: str, message: str) -> None:
    machine.set(behaviour)
    with pytest.raises(SudoError, match=message):
        incus.running()
    assert machine.asked == 1


def test_several_at_once_ask_once(machine: Machine) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: incus.running(), range(4))) == [True] * 4
    assert machine.asked == 1


def test_a_user_without_sudo_is_told_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine.home / "sudo").unlink()
    monkeypatch.setenv("PATH", str(machine.home))
    with pytest.raises(SudoError, match="there is no sudo on this machine"):
        incus.running()


def test_what_is_shown_as_it_runs_asks_first(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    assert console.stream(incus.root_command("echo", "made")) == 0
    assert machine.asked == 1
    assert capfd.readouterr().out == "made\n"


def test_the_bootstrap_says_that_sudo_wants_a_password(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(SudoError, match="sudo wants a password"):
        bootstrap.main([])
    monkeypatch.setattr(bootstrap, "_has", lambda _: False)
    with pytest.raises(SudoError, match="sudo wants a password"):
        bootstrap.main(["--tools"])
    assert machine.asked == 0


def test_the_bootstrap_knows_a_user_who_may_not_use_sudo(machine: Machine) -> None:
    machine.set("refuses")
    assert not sudo.privileged()
    with pytest.raises(CommandError, match="may not run sudo"):
        console.run(incus.root_command("true"))
    assert machine.asked == 0


def test_the_ticket_is_renewed_until_the_work_is_done(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    often = threading.Event()

    def renewed(words: list[str]) -> None:
        calls.append(words)
        if len(calls) > 1:
            often.set()

    monkeypatch.setattr(sudo, "run_once", renewed)
    monkeypatch.setattr(sudo, "RENEWED_EVERY", 0.001)
    with sudo.kept_fresh():
        assert often.wait(60)
    assert {tuple(words) for words in calls} == {("sudo", "-n", "-v")}
    assert "sudo" not in [thread.name for thread in threading.enumerate()]
    assert machine.asked == 0


def test_root_has_no_ticket_to_renew(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with sudo.kept_fresh():
        assert "sudo" not in [thread.name for thread in threading.enumerate()]
    assert not (machine.home / "calls").exists()


def test_the_long_verbs_keep_the_ticket_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextmanager
    def kept_fresh() -> Iterator[None]:
        seen.append("begun")
        yield
        seen.append("ended")

    monkeypatch.setattr(sudo, "kept_fresh", kept_fresh)
    monkeypatch.setattr(phases, "VERBS", {"test": lambda _: seen.append("verb")})
    monkeypatch.setattr(durations, "record", lambda _: None)
    assert phases.main(["test"]) == 0
    assert seen == ["begun", "verb", "ended"]
