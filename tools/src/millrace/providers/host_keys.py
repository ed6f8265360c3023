"""SSH host keys that this machine makes for nodes, which get them at their first boot (docs/adr/0013)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from millrace.access import ssh

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from millrace.model.topology import Topology

FOLDER = "host-keys"


def ensure(topology: Topology, state: Path) -> dict[str, dict[str, str]]:
    """Return each node's SSH host key, made where it is missing: `private`, and `public` in one line."""
    folder = state / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = {}
    for name in topology.nodes:
        public = ssh.make_key(folder / name, f"{name}.{topology.domain}")
        keys[name] = {"private": (folder / name).read_text(encoding="ascii"), "public": public}
    return keys


def public(topology: Topology, state: Path) -> Mapping[str, str]:
    """Return each node's public host key in one line, by name."""
    return {name: key["public"] for name, key in ensure(topology, state).items()}


def forget(state: Path) -> None:
    """Remove them: the next nodes get others."""
    shutil.rmtree(state / FOLDER, ignore_errors=True)
