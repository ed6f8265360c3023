"""What libvirt needs of this machine, and how it looks for it. Standard library only."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from millrace import system
from millrace.console import MillraceError, run
from millrace.machine import bridge as surroundings
from millrace.machine import sudo
from millrace.machine.bridge import Bridge, Surroundings
from millrace.model.neighbours import Place
from millrace.paths import environment
from millrace.providers.interface import Machine, Needs
from millrace.providers.libvirt import virsh
from millrace.system import DEBIAN_KEYRING

if TYPE_CHECKING:
    from millrace.model.outline import Outline
    from millrace.system import OsRelease

PACKAGES = {
    "debian-archive-keyring": DEBIAN_KEYRING,
    "dnsmasq-base": "dnsmasq",
    "e2fsprogs": "mkfs.ext4",
    # The provider makes the disk that cloud-init reads with it.
    "genisoimage": "mkisofs",
    "libvirt-clients": "virsh",
    "libvirt-daemon-system": "libvirtd",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86": "qemu-system-x86_64",
    "qemu-utils": "qemu-img",
    # The provider adds with it what it has no words for.
    "xsltproc": "xsltproc",
}
DIRECTORY = Path("/var/lib/libvirt")
NETWORKS = Path("/etc/libvirt/qemu/networks")
READY_WITHIN = 60  # seconds
DAEMONS = ("virtlogd", "libvirtd")


@dataclass(frozen=True)
class LibvirtFound:
    """libvirt's daemon, and what is in the way of the bridge."""

    bridge: Bridge
    daemon_runs: bool = True
    systemd: bool = True
    member: bool = True  # whether the user may talk to the daemon
    has_network: bool = False
    bridge_taken: bool = False
    surroundings: Surroundings = field(default_factory=Surroundings)

    @property
    def exists(self) -> bool:
        """Whether there is such a network already, and with it nodes."""
        return self.has_network

    def problems(self) -> list[str]:
        """Return what stands in the way, a line each."""
        found = []
        if self.bridge_taken:
            found.append(
                f"the bridge {self.bridge.name} is there and not this environment's"
                f" (`{virsh.COMMAND} net-list --all`); remove it, or change network.bridge in the topology"
            )
        if not self.member:
            found.append(virsh.NO_MEMBER)
        return found + self.surroundings.problems(self.bridge)

    def plan(self) -> list[str]:
        """Return one line for each change."""
        if self.daemon_runs:
            return []
        how = "by systemd" if self.systemd else "as background processes, since PID 1 is not systemd"
        return [f"start libvirt's daemons {how}; they run as root and manage the nodes' virtual machines"]

    def change(self) -> None:
        """Start the daemons and wait until they answer."""
        if self.daemon_runs:
            return
        start()


def start() -> None:
    """Start libvirt's daemons. Raises MillraceError where they do not answer."""
    if system.has_systemd():
        run(sudo.root_command("systemctl", "start", "virtlogd.socket", "libvirtd.service"))
    else:
        for name in DAEMONS:
            subprocess.run(sudo.root_command(name, "--daemon"), check=True, cwd="/")  # noqa: S603 - fixed words
    end = time.monotonic() + READY_WITHIN
    while not virsh.running():
        if time.monotonic() > end:
            message = f"libvirt's daemon did not answer within {READY_WITHIN} s; see `journalctl -u libvirtd`"
            raise MillraceError(message)
        time.sleep(0.5)


@dataclass(frozen=True)
class LibvirtPreparation:
    """What the bootstrap does for one environment of virtual machines."""

    bridge: Bridge

    @property
    def place(self) -> Place:
        """What must not be another environment's."""
        return Place(self.bridge.name, IPv4Network(self.bridge.cidr))

    def needs(self, _release: OsRelease) -> Needs:
        """Return packages and disk."""
        return Needs(packages=PACKAGES, directory=DIRECTORY, disk=20, disk_later=2)

    def look(self, machine: Machine) -> LibvirtFound:
        """Look at the daemon, what it has, and what is in its way."""
        runs = not machine.missing and virsh.running()
        networks = virsh.networks() if runs else {}
        own = f"millrace-{environment()}"
        # A daemon that does not run tells nothing, but its networks are files.
        kept = not runs and machine.privileged and sudo.exists(NETWORKS / f"{own}.xml")
        ours = kept or networks.get(own) == self.bridge.name
        others = [name for name, bridge in networks.items() if bridge == self.bridge.name]
        return LibvirtFound(
            bridge=self.bridge,
            daemon_runs=runs,
            systemd=system.has_systemd(),
            # With the packages comes the group.
            member=runs or bool(machine.missing) or virsh.member(),
            has_network=ours,
            bridge_taken=not ours and (bool(others) or surroundings.exists(self.bridge.name)),
            surroundings=surroundings.look(self.bridge, privileged=machine.privileged),
        )


def preparation(outline: Outline) -> LibvirtPreparation:
    """Return what an environment with this topology prepares; MillraceError where its network is none."""
    network = surroundings.checked(outline.network)
    return LibvirtPreparation(Bridge(network["bridge"], network["cidr"], network["gateway"]))
