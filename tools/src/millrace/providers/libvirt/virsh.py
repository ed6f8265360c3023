"""The client of libvirt's daemon. Standard library only."""

from __future__ import annotations

import grp
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from millrace.console import CommandError, run

if TYPE_CHECKING:
    from collections.abc import Mapping

URI = "qemu:///system"
# For messages: without the address, a user who is not root asks a daemon of their own.
COMMAND = f"virsh -c {URI}"
GROUP = "libvirt"
NO_MEMBER = (
    f"libvirt's daemon refuses you, since this login is not in the group {GROUP}:"
    f" `sudo adduser $USER {GROUP}`, then log in again"
)
_BUSY = "asynchronous jobs running"
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


def member() -> bool:
    """Tell whether the daemon lets this user in: root, and who is in its group."""
    if os.geteuid() == 0:
        return True
    try:
        return grp.getgrnam(GROUP).gr_gid in os.getgroups()
    except KeyError:
        return False


def kvm() -> bool:
    """Tell whether this machine has hardware virtualisation, by libvirt's own check.

    That looks at the processor too: a machine may have a /dev/kvm in whose virtual machines no kernel boots
    (seen).
    """
    said = subprocess.run(
        ["virt-host-validate", "qemu"],  # noqa: S607 - wherever it is
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    return hardware_virtualisation(said.stdout)


def hardware_virtualisation(said: str) -> bool:
    """Read what `virt-host-validate qemu` printed: every line about the processor and KVM must say PASS."""
    checks = re.findall(r"QEMU: (?:Checking )?.*(?:hardware virtualization|/dev/kvm).*: *(\w+)", said)
    return bool(checks) and all(result == "PASS" for result in checks)


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


def active_pools() -> list[str]:
    """Return the names of the storage pools whose volumes can be looked at."""
    return virsh("pool-list", "--name").split()


def start_pool(name: str) -> None:
    """Make a pool active that is there and is not."""
    if name in pools() and name not in active_pools():
        virsh("pool-start", name)


def volumes(pool: str) -> list[str]:
    """Return the names of a pool's volumes, as its directory has them now; none of an inactive pool."""
    if pool not in active_pools():
        return []
    try:
        virsh("pool-refresh", pool)
    except CommandError as error:
        # While a volume is filled, its pool cannot be read anew; what the daemon knows has to do.
        if _BUSY not in error.output:
            raise
    return [line.split()[0] for line in virsh("vol-list", pool).splitlines() if line.split()]


def remove_domain(name: str) -> None:
    """Switch a virtual machine off and forget it; its volumes stay."""
    if virsh("domstate", name).strip() != "shut off":
        virsh("destroy", name)
    virsh("undefine", name)


def remove_pool(name: str) -> None:
    """Forget a storage pool; the files in its directory stay."""
    if name in active_pools():
        virsh("pool-destroy", name)
    virsh("pool-undefine", name)


def remove_network(name: str) -> None:
    """Take a network down and forget it."""
    if name in virsh("net-list", "--name").split():
        virsh("net-destroy", name)
    virsh("net-undefine", name)
