"""The client of libvirt's daemon. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from millrace.console import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Mapping

URI = "qemu:///system"
_OWNER = re.compile(r"owner ([0-9a-f-]{36})")


@dataclass(frozen=True)
class Domain:
    """A virtual machine: its state in libvirt's words (running, shut off, paused), and whose it is."""

    name: str
    state: str
    owner: str  # empty for one that is not ours


def virsh(*words: str) -> str:
    """Run virsh; raise CommandError with its message."""
    return run(["virsh", "--connect", URI, "--quiet", *words])


def running() -> bool:
    """Tell whether the daemon answers."""
    try:
        virsh("version")
    except (CommandError, FileNotFoundError):
        return False
    return True


def kvm() -> bool:
    """Tell whether this machine has hardware virtualisation that the daemon may use."""
    return Path("/dev/kvm").exists()


def domains(prefix: str) -> list[Domain]:
    """Return the virtual machines whose name begins with `prefix`."""
    names = [name for name in virsh("list", "--all", "--name").split() if name.startswith(prefix)]
    return [Domain(name, virsh("domstate", name).strip(), _owner(virsh("dumpxml", name))) for name in names]


def _owner(xml: str) -> str:
    description = ET.fromstring(xml).findtext("description", "")  # noqa: S314 - as above
    found = _OWNER.search(description)
    return found[1] if found else ""


def networks() -> Mapping[str, str]:
    """Return the bridge of each network of libvirt's by the network's name."""
    names = virsh("net-list", "--all", "--name").split()
    found = {}
    for name in names:
        bridge = ET.fromstring(virsh("net-dumpxml", name)).find("bridge")  # noqa: S314 - as above
        found[name] = "" if bridge is None else bridge.get("name", "")
    return found


def pools() -> list[str]:
    """Return the names of libvirt's storage pools."""
    return virsh("pool-list", "--all", "--name").split()
