"""A thin layer over the ``incus`` client: access, instances, images. Standard library only."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.console import CommandError, run
from millrace.machine import sudo

OWNER_KEY = "user.millrace.owner"
PROJECTS = "millrace-"
POOL = "millrace"
# sudo must keep it: it says which daemon is meant.
VARIABLES = ("INCUS_DIR",)


@dataclass(frozen=True)
class Instance:
    """A container as the daemon reports it; ``status`` is Running, Stopped, Frozen or Error."""

    name: str
    project: str
    status: str
    owner: str | None


def directory() -> Path:
    """Return the daemon's directory (INCUS_DIR, as Incus itself reads it)."""
    return Path(os.environ.get("INCUS_DIR") or "/var/lib/incus")


def needs_sudo() -> bool:
    """Tell whether this user can reach the daemon only through sudo."""
    return os.geteuid() != 0 and not os.access(directory() / "unix.socket", os.W_OK)


def root_command(*words: str) -> list[str]:
    """Return a command line that runs as root."""
    return sudo.root_command(*words, kept=VARIABLES)


def command(*words: str) -> list[str]:
    """Return the command line of the incus client, with sudo where the socket needs it."""
    return root_command("incus", *words) if needs_sudo() else ["incus", *words]


def incus(*words: str, stdin: str | None = None) -> str:
    """Run the incus client and return what it prints."""
    return run(command(*words), stdin=stdin)


def query(path: str) -> Any:  # noqa: ANN401 - the shape of the answer depends on the path
    """Return the answer of the daemon's API to a GET of ``path``; an empty list prints as nothing."""
    return json.loads(incus("query", path) or "[]")


def running() -> bool:
    """Tell whether a daemon answers."""
    try:
        query("/1.0")
    except (CommandError, FileNotFoundError):
        return False
    return True


def project_name(env: str) -> str:
    """Return the Incus project that holds an environment's nodes."""
    return f"{PROJECTS}{env}"


def instances(project: str) -> list[Instance]:
    """Return all instances of a project; none when the project doesn't exist."""
    if f"/1.0/projects/{project}" not in query("/1.0/projects"):
        return []
    return [
        Instance(
            name=entry["name"],
            project=project,
            status=entry["status"],
            owner=entry["config"].get(OWNER_KEY),
        )
        for entry in query(f"/1.0/instances?recursion=1&project={project}")
    ]


def image_exists(alias: str) -> bool:
    """Tell whether the daemon has an image with this alias."""
    return f"/1.0/images/aliases/{alias}" in query("/1.0/images/aliases")
