"""What the lab needs of this machine, and how it looks for it. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from millrace import system
from millrace.machine import bridge as surroundings
from millrace.machine import sudo
from millrace.model.neighbours import Place
from millrace.paths import environment
from millrace.providers.interface import Machine, Needs
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.findings import KERNEL_LIMITS, SUBID_FILES, LabFound, limit
from millrace.system import DEBIAN_KEYRING

if TYPE_CHECKING:
    from millrace.model.outline import Outline
    from millrace.system import OsRelease

PACKAGES = {
    "debian-archive-keyring": DEBIAN_KEYRING,
    "dnsmasq-base": "dnsmasq",
    "mmdebstrap": "mmdebstrap",
    "nftables": "nft",
    "uidmap": "newuidmap",
}
DISK_FIRST = 16  # GiB for image, nodes and downloads of a new lab
DISK_LATER = 2  # GiB that a lab which exists should still find free


def incus_package(release: OsRelease) -> str:
    """Return the package that has Incus' daemon for containers.

    Debian's `incus` adds virtual machines to `incus-base`: some 45 packages more. Ubuntu 24.04 has `incus`
    only, and there it needs no QEMU.
    """
    return "incus" if (release.id, release.version) == ("ubuntu", "24.04") else "incus-base"


@dataclass(frozen=True)
class LabPreparation:
    """What the bootstrap does for one lab: the Incus daemon with a bridge and a storage pool."""

    bridge: daemon.Bridge

    @property
    def place(self) -> Place:
        """What must not be another environment's."""
        return Place(self.bridge.name, IPv4Network(self.bridge.cidr))

    def needs(self, release: OsRelease) -> Needs:
        """Return packages and disk; only Debian 12 has Incus in its backports alone."""
        package = incus_package(release)
        return Needs(
            packages={**PACKAGES, package: "incus"},
            from_backports=frozenset({package} if (release.id, release.version) == ("debian", "12") else ()),
            variables=incus.VARIABLES,
            called="lab",
            directory=incus.directory(),
            disk=DISK_FIRST,
            disk_later=DISK_LATER,
        )

    def look(self, machine: Machine) -> LabFound:
        """Look at the daemon, what it has, and what is in its way."""
        name, privileged = self.bridge.name, machine.privileged
        installs = incus_package(machine.os) in machine.missing
        runs = not installs and privileged and incus.running()
        if runs:
            found = daemon.network(name)
            ours, has_pool = found is not None, daemon.has_pool()
        else:
            # A daemon that isn't running tells nothing, but what it made is on the disk.
            ours = privileged and sudo.exists(incus.directory() / "networks" / name)
            found = self.bridge.config if ours else None
            has_pool = privileged and sudo.exists(incus.directory() / "storage-pools" / incus.POOL)
        return LabFound(
            bridge=self.bridge,
            installs=installs,
            subid_files=tuple(path for path in SUBID_FILES if not _has_root_range(Path(path))),
            low_limits=tuple(name for name, value in KERNEL_LIMITS.items() if limit(name) < value),
            has_bridge_module=Path("/proc/sys/net/bridge").is_dir(),
            daemon_runs=runs,
            systemd=system.has_systemd(),
            bridge_settings=None if found is None else daemon.missing_settings(found, self.bridge.config),
            bridge_others=tuple(daemon.others(name, incus.project_name(environment())))
            if runs and found
            else (),
            bridge_taken=surroundings.exists(name) and not ours,
            surroundings=surroundings.look(self.bridge, privileged=privileged),
            has_pool=has_pool,
        )


def preparation(outline: Outline) -> LabPreparation:
    """Return what a lab with this topology prepares; MillraceError where its network is none."""
    network = surroundings.checked(outline.network)
    return LabPreparation(daemon.Bridge(network["bridge"], network["cidr"], network["gateway"]))


def _has_root_range(path: Path) -> bool:
    return path.exists() and bool(
        re.search(r"^(root|0):\d+:\d{5,}$", path.read_text(encoding="utf-8"), re.MULTILINE)
    )
