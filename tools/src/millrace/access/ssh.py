"""SSH for an environment: its key, the nodes' host keys, and a client configuration that checks them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millrace.console import CommandError, MillraceError, run
from millrace.model.login import USER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from millrace.model.topology import Topology

# Seconds; a container answers within a few, a virtual machine without KVM within minutes.
REACHABLE_WITHIN = 900


@dataclass(frozen=True, slots=True)
class Way:
    """How this machine reaches the nodes: by which addresses, where not those of the topology.

    `jump_host` is the node that all others are reached through; empty where each is reached by itself.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    jump_host: str = ""


DIRECT = Way()


def ensure_key(state: Path) -> str:
    """Make the environment's ed25519 key where it is missing; return the public key's line."""
    return make_key(state / "ssh_key", f"millrace-{state.name}")


def make_key(key: Path, comment: str) -> str:
    """Make an ed25519 key without a passphrase where it is missing; return the public key's line."""
    if not key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(key)])
    return key.with_name(f"{key.name}.pub").read_text(encoding="utf-8").strip()


def known_hosts(topology: Topology, keys: Mapping[str, str], way: Way = DIRECT) -> str:
    """Return the text of known_hosts from each node's public host key line ("ssh-ed25519 AAAA… comment")."""
    lines = []
    for name, node in topology.nodes.items():
        kind, key = keys[name].split()[:2]
        names = [name, f"{name}.{topology.domain}", str(node.address), way.addresses.get(name, "")]
        lines.append(f"{','.join(dict.fromkeys(filter(None, names)))} {kind} {key}\n")
    return "".join(lines)


def client_config(topology: Topology, state: Path, way: Way = DIRECT) -> str:
    """Return the text of ssh_config: one entry per node, and the settings that all share."""
    parts = ["# Made by `make provision`; use it with ssh -F, scp -F, rsync -e 'ssh -F …'.\n"]
    for name, node in topology.nodes.items():
        address = way.addresses.get(name, node.address)
        parts.append(f"Host {name} {name}.{topology.domain} {node.address}\n  HostName {address}\n")
        if way.jump_host and name != way.jump_host:
            parts.append(f"  ProxyJump {way.jump_host}\n")
    parts.append(
        "Host *\n"
        f"  User {USER}\n"
        f'  IdentityFile "{state / "ssh_key"}"\n'
        "  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{state / "known_hosts"}"\n'
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  HostKeyAlgorithms ssh-ed25519\n"
        "  PasswordAuthentication no\n"
        # A client notices within a minute that its node is gone.
        "  ServerAliveInterval 15\n"
        "  ServerAliveCountMax 3\n"
    )
    return "".join(parts)


def write_if_changed(path: Path, text: str) -> bool:
    """Write a file that only its owner can read, unless it already says this; tell whether it was written."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return True


def record(topology: Topology, state: Path, keys: Mapping[str, str], way: Way = DIRECT) -> bool:
    """Write known_hosts, from the nodes' host key lines, and ssh_config; tell whether anything changed."""
    changed = [
        write_if_changed(state / "known_hosts", known_hosts(topology, keys, way)),
        write_if_changed(state / "ssh_config", client_config(topology, state, way)),
    ]
    return any(changed)


def wait_reachable(topology: Topology, state: Path) -> None:
    """Wait until every node answers over SSH with its known key; name those that don't."""

    def answers(node: str) -> str | None:
        end = time.monotonic() + REACHABLE_WITHIN
        words = [
            "ssh",
            "-F",
            str(state / "ssh_config"),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=5",
            node,
            "true",
        ]
        while True:
            try:
                run(words)
            except CommandError as error:
                if time.monotonic() > end:
                    return f"{node}: {error.output}"
                time.sleep(1)
            else:
                return None

    with ThreadPoolExecutor(max_workers=8) as pool:
        silent = [reason for reason in pool.map(answers, topology.nodes) if reason]
    if silent:
        msg = f"no SSH within {REACHABLE_WITHIN} s:\n  " + "\n  ".join(silent)
        msg += "\nThe nodes run; `make down` and `make start` restart them."
        raise MillraceError(msg)
