"""How commands reach the nodes; that they do is tested on the lab."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from millrace import console
from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def ran(monkeypatch: pytest.MonkeyPatch, state: Path) -> Sequence[str]:
    """Return the argv of a command on a node of an environment that keeps its state in `state`."""
    argvs: list[Sequence[str]] = []

    def run(argv: Sequence[str], *, stdin: str | None) -> str:
        del stdin
        argvs.append(argv)
        return ""

    monkeypatch.setattr(remote, "state_dir", lambda: state)
    monkeypatch.setattr(console, "run", run)
    (state / "ssh_config").write_text("", encoding="utf-8")
    remote.run("kafka-1", ["echo", "two words"])
    return argvs[0]


def test_ssh_understands_where_the_shared_connection_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = tmp_path / "50% of it"
    state.mkdir()
    monkeypatch.setattr(remote, "_LONGEST_SOCKET", 1000)
    argv = list(ran(monkeypatch, state))
    assert shlex.split(argv[-1]) == ["echo", "two words"]
    end = argv.index("--")
    # What ssh itself makes of the options: -G prints it, and connects to nobody.
    shown = subprocess.run(  # noqa: S603 - ours
        [argv[0], "-G", *argv[1:end]], check=True, capture_output=True, text=True
    ).stdout
    settings = dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)
    assert settings["controlpath"] == str(state / "ssh-kafka-1")
    assert settings["controlmaster"] == "auto"
    assert settings["batchmode"] == "yes"


@pytest.mark.parametrize(("length", "shared"), [(60, True), (100, False)])
def test_a_path_that_is_too_long_for_a_socket_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int, *, shared: bool
) -> None:
    monkeypatch.setattr(remote, "_LONGEST_SOCKET", len(str(tmp_path)) + 80)
    state = tmp_path / ("x" * length)
    state.mkdir()
    argv = ran(monkeypatch, state)
    assert any("ControlPath" in word for word in argv) is shared
