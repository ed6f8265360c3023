"""Commands on the nodes of an environment over SSH, with the host keys that provisioning recorded."""

from __future__ import annotations

import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

from millrace import console
from millrace.paths import environment, state_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# A socket's path has at most 107 bytes, and while ssh makes one it adds 17.
_LONGEST_SOCKET = 90


def ssh_config() -> Path:
    """Return the environment's ssh_config; raise MillraceError where provisioning has not written it yet."""
    path = state_dir() / "ssh_config"
    if not path.exists():
        message = f"the nodes of {environment()} are not provisioned yet; `make provision` makes them"
        raise console.MillraceError(message)
    return path


def ssh_argv(
    node: str, command: Sequence[str], *, tty: bool = False, options: Sequence[str] = ()
) -> list[str]:
    """Return the argv that runs ``command`` on ``node``; each of its words reaches the node as one word."""
    options = ["-t"] if tty else ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", *options]
    return ["ssh", "-F", str(ssh_config()), *options, node, "--", shlex.join(command)]


def run(node: str, command: Sequence[str], *, stdin: str | None = None) -> str:
    """Run ``command`` on ``node`` and return what it printed; raise CommandError when it fails."""
    return console.run(ssh_argv(node, command, options=sharing(node)), stdin=stdin)


def sharing(node: str) -> list[str]:
    """Return ssh's options by which commands soon after one another share a connection.

    To open one costs ten times what a short command does. It closes 20 s after the last command, and within
    10 s where the node is gone: no later than an attempt to open one would give up.
    """
    socket = state_dir() / f"ssh-{node}"
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        return []
    settings = {
        "ControlMaster": "auto",
        "ControlPath": '"{}"'.format(str(socket).replace("%", "%%")),
        "ControlPersist": "20",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "2",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def run_each(commands: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """Run one command a node, all at once; None stands for one that failed or a node that did not answer."""

    def one(node: str) -> str | None:
        try:
            return run(node, commands[node])
        except console.CommandError:
            return None

    with ThreadPoolExecutor(max_workers=max(1, len(commands))) as pool:
        return dict(zip(commands, pool.map(one, commands), strict=True))


def become(argv: Sequence[str]) -> NoReturn:
    """Turn this process into ``argv``: terminal, signals and exit status are then that command's own."""
    os.execvp(argv[0], list(argv))  # noqa: S606 - no shell is wanted here
