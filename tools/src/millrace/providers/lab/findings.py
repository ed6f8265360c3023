"""What the bootstrap found for the lab: what stands in its way, what it changes. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from millrace.console import run, say
from millrace.machine import sudo
from millrace.machine.bridge import Surroundings
from millrace.providers.lab import daemon, incus

SUBID_FILES = ("/etc/subuid", "/etc/subgid")
SUBORDINATE_IDS = "root:1000000:1000000000"
# Limits per user, and all containers have the same user ids; Linux has defaults for a few containers (tried:
# with 200 keys, those beyond the first 24 stopped while they started).
# Without the last one, of the module br_netfilter, Incus filters no IPv6 (and starts no node that wants it).
KERNEL_LIMITS = {
    "fs.inotify.max_user_instances": 1024,
    "kernel.keys.maxbytes": 2_000_000,
    "kernel.keys.maxkeys": 2000,
    "net.bridge.bridge-nf-call-ip6tables": 1,
}
BRIDGE_MODULE = "br_netfilter"
MODULES_FILE = "/etc/modules-load.d/60-millrace.conf"
# Says what an installation means, whatever the package's own messages advise.
NO_INIT = "`incus admin init`, which the package advises, is not needed: the bootstrap sets Incus up itself"


def limit_path(name: str) -> Path:
    """Return the file in /proc that has a kernel limit."""
    return Path("/proc/sys") / name.replace(".", "/")


def limit(name: str) -> int:
    """Return a kernel limit; -1 where the kernel has none of that name, since its module is not loaded."""
    path = limit_path(name)
    return int(path.read_text(encoding="ascii")) if path.exists() else -1


@dataclass(frozen=True)
class LabFound:
    """The Incus daemon, what it has, and what is in its way."""

    bridge: daemon.Bridge
    installs: bool = False  # the daemon's package is one of those that get installed
    subid_files: tuple[str, ...] = ()  # those without a range for root
    low_limits: tuple[str, ...] = ()  # names of kernel limits that have to be raised
    has_bridge_module: bool = True
    daemon_runs: bool = True
    systemd: bool = True
    bridge_settings: dict[str, str] | None = field(default_factory=dict)  # to change; None: no bridge yet
    bridge_taken: bool = False
    bridge_others: tuple[str, ...] = ()  # nodes of other environments on it
    surroundings: Surroundings = field(default_factory=Surroundings)
    has_pool: bool = True

    @property
    def exists(self) -> bool:
        """Whether there is a lab, or was one: its pool stays."""
        return self.has_pool

    def problems(self) -> list[str]:
        """Return what stands in the way of the bridge."""
        found = []
        if self.bridge_taken:
            found.append(
                f"the network interface {self.bridge.name} exists and is not Incus' bridge; remove it or"
                " change network.bridge in the topology"
            )
        # Those of another clone, say, whose topology this one does not know.
        if self.bridge_settings and self.bridge_others:
            found.append(
                f"the bridge {self.bridge.name} has other addresses, and with them run"
                f" {', '.join(self.bridge_others)}; change network.bridge in the topology"
            )
        return found + self.surroundings.problems(self.bridge)

    def plan(self) -> list[str]:
        """Return one line for each change; empty where there is nothing to do."""
        changes = []
        if self.subid_files:
            files = " and ".join(self.subid_files)
            changes.append(f"give root subordinate ids ({SUBORDINATE_IDS}) in {files}")
        if not self.has_bridge_module:
            changes.append(f"load the kernel module {BRIDGE_MODULE}, now and at boot ({MODULES_FILE})")
        if self.low_limits:
            settings = " ".join(f"{name}={KERNEL_LIMITS[name]}" for name in self.low_limits)
            changes.append(f"raise kernel limits: {settings}")
        if not self.daemon_runs:
            how = "through systemd" if self.systemd else "as a background process, since PID 1 is not systemd"
            changes.append(f"start the Incus daemon {how}; it runs as root and manages the lab's containers")
        bridge = self.bridge
        if self.bridge_settings is None:
            changes.append(
                f"make the bridge {bridge.name} ({bridge.config['ipv4.address']}) with NAT to the outside"
            )
        elif self.bridge_settings:
            settings = " ".join(f"{key}={value}" for key, value in self.bridge_settings.items())
            changes.append(f"change the bridge {bridge.name}: {settings}")
        if not self.has_pool:
            changes.append(f"make the storage pool {incus.POOL} in {incus.directory()}")
        return changes

    def change(self) -> None:
        """Carry out the plan."""
        if self.installs:
            say(NO_INIT)
        for path in self.subid_files:
            sudo.write(path, SUBORDINATE_IDS + "\n", append=True)
        if not self.has_bridge_module:
            sudo.write(MODULES_FILE, f"{BRIDGE_MODULE}\n")
            run(sudo.root_command("modprobe", BRIDGE_MODULE))
        if self.low_limits:
            text = "".join(f"{name} = {value}\n" for name, value in KERNEL_LIMITS.items())
            sudo.write("/etc/sysctl.d/60-millrace.conf", text)
            for name in self.low_limits:
                sudo.write(str(limit_path(name)), f"{KERNEL_LIMITS[name]}\n")
        # Where systemd is, the package's installation starts the daemon; it is ours to stop all the same.
        if not self.daemon_runs:
            daemon.start(installed=self.installs)
        daemon.set_up(self.bridge)
