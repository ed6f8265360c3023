"""What this machine keeps from a bridge with DNS and DHCP of its own: addresses, ports, firewalls.

For every provider whose nodes are on such a bridge. Standard library only.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from millrace import system
from millrace.console import CommandError, MillraceError, run, say
from millrace.machine import firewall, sudo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Where the bridge's dnsmasq listens: at the bridge's address for DNS, at all of them for DHCP.
DHCP = 67
PORTS = {("tcp", 53), ("udp", 53), ("udp", DHCP)}
# These bind DHCP's port to an interface of their own and share it (tried with two dnsmasq): they serve the
# bridges of libvirt, LXD and Incus' other networks, and systemd's containers.
SHARING_DHCP = {"dnsmasq", "systemd-network"}


@dataclass(frozen=True)
class Bridge:
    """An environment's network on this machine, as the topology says it."""

    name: str
    cidr: str
    gateway: str


@dataclass(frozen=True)
class Surroundings:
    """What is in a bridge's way."""

    overlapping: tuple[str, ...] = ()  # interfaces with addresses of ours
    ports_taken: tuple[str, ...] = ()  # of those that the bridge needs, each with who has it
    firewall: tuple[str, ...] = ()  # what firewalls keep from the bridge, each with the rules to add

    def problems(self, bridge: Bridge) -> list[str]:
        """Return what must be put right before there can be such a bridge."""
        found = []
        if self.overlapping:
            found.append(
                f"addresses of {bridge.cidr} are already reached through {', '.join(self.overlapping)};"
                " change network and addresses in the topology"
            )
        found += [
            f"port {taken}, and the bridge {bridge.name} needs it for DNS and DHCP; stop that, or let it"
            f" listen at other addresses than {bridge.gateway} only"
            for taken in self.ports_taken
        ]
        return found + list(self.firewall)


def checked(network: Mapping[str, str]) -> Mapping[str, str]:
    """Return the network of a topology's outline; MillraceError where no bridge can be made for it."""
    if missing := sorted({"bridge", "cidr", "gateway"} - network.keys()):
        msg = f"the topology lacks network.{', network.'.join(missing)}"
        raise MillraceError(msg)
    for key, read in (("cidr", IPv4Network), ("gateway", IPv4Address)):
        try:
            read(network[key])
        except ValueError as error:
            msg = f"the topology's network.{key} is wrong: {error}"
            raise MillraceError(msg) from error
    return network


def exists(name: str) -> bool:
    """Tell whether there is a network interface of this name."""
    return Path(f"/sys/class/net/{name}").exists()


def look(bridge: Bridge, *, privileged: bool) -> Surroundings:
    """Collect what is in the way; changes nothing. Without root, ports and firewalls remain unknown."""
    routing = Path("/proc/net/route").read_text(encoding="utf-8")
    return Surroundings(
        overlapping=tuple(system.overlaps(bridge.cidr, bridge.name, system.parse_routes(routing))),
        # Where the bridge is there already, its own dnsmasq has them.
        ports_taken=() if exists(bridge.name) or not privileged else _taken_ports(bridge.gateway),
        firewall=_firewall(bridge, system.parse_uplink(routing)) if privileged else (),
    )


def _firewall(bridge: Bridge, uplink: str) -> tuple[str, ...]:
    """Return what the machine's firewalls keep from the bridge; a tool that isn't there has made no rules."""
    tables = firewall.read(
        _rules("nft", "-j", "list", "ruleset"), [_rules("iptables-save"), _rules("iptables-legacy-save")]
    )
    needed = firewall.packets(bridge.name, bridge.cidr, bridge.gateway, uplink)
    return tuple(firewall.obstacles(firewall.dropped(tables, needed), bridge.name))


def _rules(tool: str, *options: str) -> str:
    program = system.program(tool)
    if program is None:
        return ""
    try:
        return run(sudo.root_command(program, *options))
    except CommandError as error:
        say(f"the firewall's rules could not be read, so nothing is known of them: {error}")
        return ""


def _taken_ports(gateway: str) -> tuple[str, ...]:
    listeners = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        path = Path("/proc/net") / name
        if path.exists():  # those for IPv6 are missing where the kernel has none
            listeners += system.parse_listeners(name[:3], path.read_text(encoding="ascii"))
    found = system.in_the_way(listeners, gateway, PORTS)
    return taken_ports(found, _holders() if found else {})


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


def _holders() -> dict[int, tuple[str, int]]:
    """Return name and id of the process that holds each socket, by the socket's inode."""
    # Only root sees what others' processes have open. Processes that end meanwhile are an error to find.
    script = "find /proc/[0-9]*/fd -lname 'socket:*' -printf '%p %l\\n' 2>/dev/null || true"
    holders = {}
    for inode, process in system.parse_open_sockets(run(sudo.root_command("sh", "-c", script))).items():
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
            holders[inode] = (name, process)
    return holders
