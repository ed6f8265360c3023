"""What the command line tools share: messages, phases with their durations, questions and running programs.

Standard library only, since the bootstrap runs before the tool environment exists.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


INTERRUPTED = 130  # the exit status after Ctrl-C, as shells have it


class MillraceError(Exception):
    """A failure that the operator can act on; its message is shown without a traceback."""


class CommandError(MillraceError):
    """A program failed; the message names it and shows what it said."""

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        """Keep the exit status and what the program said (standard error, or output when that is empty)."""
        self.status = status
        self.output = output.strip()
        super().__init__(f"`{shlex.join(command)}` failed with status {status}: {self.output}")


class SudoError(MillraceError):
    """Root is needed, and sudo does not give it without a password that nobody can type."""


def settle_ansible(root: Path) -> None:
    """Name this clone's ansible.cfg to every Ansible that this process starts.

    Ansible takes none by itself from a folder that everybody may write to. The operator's own ANSIBLE_CONFIG
    would name another one.
    """
    os.environ["ANSIBLE_CONFIG"] = str(root / "ansible.cfg")


def say(message: str = "") -> None:
    """Print a line for the operator at once, also where the output is a pipe."""
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


def flag(name: str) -> bool:
    """Tell whether an environment variable such as YES or PURGE is set to something other than 0."""
    return os.environ.get(name, "") not in {"", "0", "no", "false"}


def confirmed(question: str) -> bool:
    """Ask the operator, unless YES=1 has answered; where stdin is no terminal the answer is no."""
    if flag("YES"):
        return True
    if not sys.stdin.isatty():
        say(f"{question} Nobody can answer without a terminal, so the answer is no; YES=1 says yes.")
        return False
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


_asking = threading.Lock()


def sudo_wants_password(words: Sequence[str], output: str) -> bool:
    """Tell whether a command failed only because sudo wanted a password; `output` is in English."""
    wants = r"^sudo(-rs)?: .*(password|authentication) is required"
    return words[:1] == ["sudo"] and re.search(wants, output, re.MULTILINE) is not None


def _ask_for_sudo() -> None:
    """Let sudo ask for its password, which it then remembers for a while; one question for all threads."""
    with _asking:
        if run_once(["sudo", "-n", "-v"]).returncode == 0:
            return
        if not sys.stdin.isatty():
            msg = (
                "sudo wants a password, and there is no terminal to ask for it; start this at a terminal, as"
                " root, or let this user use sudo without a password"
            )
            raise SudoError(msg)
        if subprocess.run(["sudo", "-v"], check=False).returncode != 0:  # noqa: S607 - where it is differs
            msg = "sudo was not given the right password"
            raise SudoError(msg)


def run_once(
    words: list[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program quietly and return how it ended, whatever that is; sudo's messages are in English."""
    sudo = words[:1] == ["sudo"]
    if sudo and shutil.which("sudo") is None:
        msg = f"root is needed for `{shlex.join(words[1:])}`, and there is no sudo on this machine"
        raise SudoError(msg)
    return subprocess.run(  # noqa: S603 - no shell; callers pass fixed words and validated names
        words,
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **({"LC_ALL": "C"} if sudo else {}), **(env or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
    )


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program quietly and return its standard output; raise CommandError when it fails.

    Where sudo wants a password for it, ask for that first; raise SudoError when nobody can answer.
    """
    words = [str(word) for word in command]
    done = run_once(words, env=env, cwd=cwd, stdin=stdin)
    if done.returncode != 0 and sudo_wants_password(words, done.stderr):
        _ask_for_sudo()
        done = run_once(words, env=env, cwd=cwd, stdin=stdin)
        if done.returncode != 0 and sudo_wants_password(words, done.stderr):
            msg = "sudo forgets its password at once (timestamp_timeout=0?); start this as root"
            raise SudoError(msg)
    if done.returncode != 0:
        raise CommandError(words, done.returncode, done.stderr or done.stdout)
    return done.stdout


def stream(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> int:
    """Run a program with its output shown as it comes and return its exit status."""
    words = [str(word) for word in command]
    if words[:2] == ["sudo", "-n"]:
        # Its output is not read, so what sudo wants is asked before.
        run(["sudo", "-n", "true"])
    return subprocess.run(  # noqa: S603 - as in `run`
        words, check=False, cwd=cwd, env={**os.environ, **(env or {})}
    ).returncode


def stream_checked(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run a program with its output shown and raise CommandError when it fails."""
    status = stream(command, env=env, cwd=cwd)
    if status != 0:
        raise CommandError([str(word) for word in command], status, "see its output above")


def stream_lines(
    command: Sequence[str | Path],
    each: Callable[[str], None],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> int:
    """Run a program, hand each line of its output over as it comes and return its exit status."""
    with subprocess.Popen(  # noqa: S603 - as in `run`
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        cwd=cwd,
        env={**os.environ, **(env or {})},
    ) as process:
        for line in process.stdout or ():
            each(line.rstrip("\n"))
    return process.returncode


def stream_captured(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a program with its output shown and return that output too; raise CommandError when it fails."""
    lines: list[str] = []

    def each(line: str) -> None:
        lines.append(line + "\n")
        say(line)

    status = stream_lines(command, each, env=env, cwd=cwd)
    if status != 0:
        raise CommandError([str(word) for word in command], status, "see its output above")
    return "".join(lines)


class Phases:
    """Durations of named phases, in the order in which they ran."""

    def __init__(self) -> None:
        """Start with no phase."""
        self.durations: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announce a phase and measure it, also when it fails."""
        say(f"==> {name}")
        start = time.monotonic()
        try:
            yield
        finally:
            self.durations[name] = self.durations.get(name, 0.0) + time.monotonic() - start

    def summary(self) -> str:
        """Return one line per phase and a total, in seconds."""
        lines = [f"  {name:<28}{seconds:8.1f} s" for name, seconds in self.durations.items()]
        lines.append(f"  {'total':<28}{sum(self.durations.values()):8.1f} s")
        return "\n".join(lines)
