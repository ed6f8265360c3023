"""What the bootstrap finds on a machine, what stands in its way and what it would change. Pure functions."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from millrace.console import MillraceError
from millrace.model.neighbours import Place
from millrace.providers import terraform
from millrace.providers.interface import Needs
from millrace.providers.lab import daemon, incus
from millrace.providers.needs import needs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from millrace import system

SUPPORTED = {("debian", "12"), ("debian", "13"), ("ubuntu", "24.04")}
SUBORDINATE_IDS = "root:1000000:1000000000"
DISK_FIRST = 16  # GiB for image, nodes and downloads of a new lab
DISK_LATER = 2  # GiB that a lab which exists should still find free


# Where the bridge's dnsmasq listens: at the bridge's address for DNS, at all of them for DHCP.
DHCP = 67
BRIDGE_PORTS = {("tcp", 53), ("udp", 53), ("udp", DHCP)}
# These bind DHCP's port to an interface of their own and share it (tried with two dnsmasq): they serve the
# bridges of libvirt, LXD and Incus' other networks, and systemd's containers.
SHARING_DHCP = {"dnsmasq", "systemd-network"}

# Limits per user, and all containers have the same user ids; Linux has defaults for a few containers (tried:
# with 200 keys, those beyond the first 24 stopped while they started).
KERNEL_LIMITS = {
    "fs.inotify.max_user_instances": 1024,
    "kernel.keys.maxbytes": 2_000_000,
    "kernel.keys.maxkeys": 2000,
}


@dataclass(frozen=True)
class Wanted:
    """What the topology and its provider ask of the machine; memory in MiB."""

    bridge: daemon.Bridge
    memory: int
    needs: Needs = field(default_factory=lambda: Needs({}))

    @property
    def place(self) -> Place:
        """What must not be another environment's."""
        return Place(self.bridge.name, IPv4Network(self.bridge.cidr))


@dataclass(frozen=True)
class Facts:
    """What the machine is and has; memory in MiB, disk in GiB."""

    os: system.OsRelease
    privileged: bool
    missing: tuple[str, ...]
    memory: int
    disk: float
    lab_exists: bool = False
    terraform: str | None = "terraform"
    backports: system.AptSource | None = None  # the archive to take backports from
    has_backports: bool = False
    subid_files: tuple[str, ...] = ()  # those without a range for root
    low_limits: tuple[str, ...] = ()  # names of kernel limits that have to be raised
    daemon_runs: bool = True
    systemd: bool = True
    bridge_settings: dict[str, str] | None = field(default_factory=dict)  # to change; None: no bridge yet
    bridge_taken: bool = False
    overlapping: tuple[str, ...] = ()
    ports_taken: tuple[str, ...] = ()  # of those that the bridge needs, each with who has it
    has_pool: bool = True
    firewall: tuple[str, ...] = ()  # what firewalls keep from the bridge, each with the rules to add


def wanted_by(topology: str) -> Wanted:
    """Read provider, bridge, addresses and memory from a topology's text.

    With regular expressions, because PyYAML isn't there yet; the tools validate the file properly afterwards.
    Raises MillraceError for a provider that is not there.
    """
    text = re.sub(r"#.*", "", topology)
    needs = needs_of(_setting(text, r"^provider"))
    # Up to the next key at the beginning of a line, whether it is a block or {in: braces}.
    network = re.search(r"^network:.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    section = network[0] if network else ""
    found = {key: _setting(section, rf"\b{key}") for key in ("bridge", "cidr", "gateway")}
    missing = sorted(key for key, value in found.items() if not value)
    if missing:
        msg = f"the topology lacks network.{', network.'.join(missing)}"
        raise MillraceError(msg)
    memory = sum(int(number) for number in re.findall(r"\bmemory:\s*(\d+)", text))
    return Wanted(daemon.Bridge(found["bridge"], found["cidr"], found["gateway"]), memory, needs)


def _setting(text: str, key: str) -> str:
    match = re.search(rf"{key}:\s*([^\s,}}]+)", text, re.MULTILINE)
    return match[1].strip("\"'") if match else ""


def places(topologies: Mapping[str, str]) -> dict[str, Place]:
    """Return what each environment takes of this machine's network, from its topology's text.

    Those are left out that take nothing (another provider) or whose file says too little: it is no obstacle
    here, and `make validate` tells of it there.
    """
    found = {}
    for env, text in topologies.items():
        with contextlib.suppress(MillraceError, ValueError):
            found[env] = wanted_by(text).place
    return found


def taken_ports(
    listeners: Iterable[system.Listener], holders: Mapping[int, tuple[str, int]]
) -> tuple[str, ...]:
    """Return a text for each port that listeners keep from the bridge: the port and, if known, who has it.

    `holders` has the name and the id of the process that a socket (by its inode) belongs to.
    """
    found = []
    for one in listeners:
        name, process = holders.get(one.inode, ("", 0))
        if one.port != DHCP or name not in SHARING_DHCP:
            who = f"{name} (process {process})" if name else "a process that could not be found"
            found.append(f"{one.port}/{one.protocol} is taken by {who}")
    # For IPv4 and IPv6, a daemon may have a socket each.
    return tuple(dict.fromkeys(found))


def incus_package(release: system.OsRelease) -> str:
    """Return the package that has Incus' daemon for containers.

    Debian's `incus` adds virtual machines to `incus-base`: some 45 packages more. Ubuntu 24.04 has `incus`
    only, and there it needs no QEMU.
    """
    return "incus" if (release.id, release.version) == ("ubuntu", "24.04") else "incus-base"


def needs_backports(facts: Facts) -> bool:
    """Tell whether a package has to come from backports (only Incus on Debian 12)."""
    return incus_package(facts.os) in facts.missing and (facts.os.id, facts.os.version) == ("debian", "12")


def problems(facts: Facts, wanted: Wanted) -> list[str]:
    """Return what stands in the way of the lab on this machine; nothing may be changed before it is empty."""
    found = []
    supported = (facts.os.id, facts.os.version) in SUPPORTED
    if facts.missing and not supported:
        found.append(
            "packages are installed for you on Debian 12, Debian 13 and Ubuntu 24.04, and this is"
            f" {facts.os.pretty}; install the like of these Debian packages: {' '.join(facts.missing)}"
        )
    if not facts.privileged:
        found.append("root or sudo is needed (as root, or with a user who may use sudo)")
    if facts.terraform is None:
        found.append(terraform.INSTALL_HINT)
    if needs_backports(facts) and not facts.has_backports and facts.backports is None:
        found.append(
            "bookworm-backports is needed, and no apt source of this machine has its neighbour bookworm"
        )
    if wanted.memory > facts.memory:
        found.append(
            f"the nodes together may use {wanted.memory} MiB of memory; this machine has {facts.memory} MiB"
        )
    disk = DISK_LATER if facts.lab_exists else DISK_FIRST
    if facts.disk < disk:
        found.append(
            f"{disk} GiB of disk are needed under {incus.directory()} and {facts.disk:.1f} GiB are free"
        )
    if facts.bridge_taken:
        found.append(
            f"the network interface {wanted.bridge.name} exists and is not Incus' bridge; remove it or change"
            " network.bridge in the topology"
        )
    if facts.overlapping:
        found.append(
            f"addresses of {wanted.bridge.cidr} are already reached through {', '.join(facts.overlapping)};"
            " change network and addresses in the topology"
        )
    found += [
        f"port {taken}, and the bridge {wanted.bridge.name} needs it for DNS and DHCP; stop that, or let it"
        f" listen at other addresses than {wanted.bridge.gateway} only"
        for taken in facts.ports_taken
    ]
    return found + list(facts.firewall)


def plan(facts: Facts, wanted: Wanted) -> list[str]:
    """Return one line for each change to the machine; empty where there is nothing to do."""
    changes = []
    if needs_backports(facts) and not facts.has_backports and facts.backports:
        changes.append(f"add the apt source bookworm-backports from {facts.backports.uri}")
    if facts.missing:
        changes.append(f"install packages (and what they depend on): {' '.join(facts.missing)}")
    if facts.subid_files:
        changes.append(f"give root subordinate ids ({SUBORDINATE_IDS}) in {' and '.join(facts.subid_files)}")
    if facts.low_limits:
        settings = " ".join(f"{name}={KERNEL_LIMITS[name]}" for name in facts.low_limits)
        changes.append(f"raise kernel limits: {settings}")
    if not facts.daemon_runs:
        how = "through systemd" if facts.systemd else "as a background process, since PID 1 is not systemd"
        changes.append(f"start the Incus daemon {how}; it runs as root and manages the lab's containers")
    bridge = wanted.bridge
    if facts.bridge_settings is None:
        changes.append(
            f"make the bridge {bridge.name} ({bridge.config['ipv4.address']}) with NAT to the outside"
        )
    elif facts.bridge_settings:
        settings = " ".join(f"{key}={value}" for key, value in facts.bridge_settings.items())
        changes.append(f"change the bridge {bridge.name}: {settings}")
    if not facts.has_pool:
        changes.append(f"make the storage pool {incus.POOL} in {incus.directory()}")
    return changes
