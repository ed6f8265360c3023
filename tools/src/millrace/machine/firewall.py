"""Whether the machine's packet filter lets the bridge work, and which rules to add where it does not. Pure.

A few packets are followed through the rules. What a rule asks that is not understood may hold or not, so both
ways are followed: a packet counts as dropped only if no way lets it through.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.machine.rulesets import (
    ACCEPT,
    CONTINUE,
    DROP,
    GOTO,
    JUMP,
    RETURN,
    Chain,
    Condition,
    Rule,
    Table,
    parse_iptables,
    parse_nft,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OUTSIDE = "198.51.100.1"  # an address for documentation: any of the Internet
NUMBERED = {"1": "icmp", "6": "tcp", "17": "udp"}  # where the machine has no /etc/protocols
FELL_THROUGH = "fell through"


@dataclass(frozen=True)
class Dropped:
    """A packet that a chain drops, whatever the conditions that are not understood would be."""

    what: str
    table: Table
    chain: Chain


def packets(bridge: str, cidr: str, gateway: str, uplink: str) -> list[tuple[str, str, dict[str, str]]]:
    """Return what the nodes need: a name, the hook that it passes and the packet's fields."""
    network = ipaddress.IPv4Network(cidr)
    node = str(network[min(100, network.num_addresses // 2)])
    new = {"status": "", "state": "new", "nfproto": "ipv4"}
    asking = {**new, "iif": bridge, "proto": "udp", "saddr": node, "daddr": gateway, "dport": "53"}
    dhcp = {"saddr": "0.0.0.0", "daddr": "255.255.255.255", "sport": "68", "dport": "67"}  # noqa: S104 - nothing is bound
    out = {
        **new,
        "iif": bridge,
        "oif": uplink,
        "proto": "tcp",
        "saddr": node,
        "daddr": OUTSIDE,
        "dport": "443",
    }
    back = {
        **new,
        "state": "established",
        "iif": uplink,
        "oif": bridge,
        "proto": "tcp",
        "saddr": OUTSIDE,
        "sport": "443",
        "daddr": node,
    }
    return [
        ("DHCP", "input", {**asking, **dhcp}),
        ("DNS", "input", asking),
        ("DNS", "input", {**asking, "proto": "tcp"}),
        ("the way out", "forward", out),
        ("the way out", "forward", back),
    ]


def dropped(tables: Iterable[Table], needed: Iterable[tuple[str, str, Mapping[str, str]]]) -> list[Dropped]:
    """Return which of the packets cannot get through, and where they end."""
    needed = list(needed)
    found = []
    for table in tables:
        for chain in table.chains.values():
            for what, hook, packet in needed:
                if chain.hook != hook:
                    continue
                ends = follow(chain, packet, table.chains)
                if FELL_THROUGH in ends:
                    ends |= {chain.policy}
                if ACCEPT not in ends:
                    found.append(Dropped(what, table, chain))
    return found


def follow(chain: Chain, packet: Mapping[str, str], chains: Mapping[str, Chain]) -> set[str]:
    """Return all ways in which a chain may end for a packet: accept, drop, or back to its caller."""
    ends: set[str] = set()
    for rule in chain.rules:
        holds = _holds(rule.conditions, packet)
        if holds is False or rule.verdict == CONTINUE:
            continue
        here = _ends(rule, packet, chains)
        # After a jump that fell through, the next rule has its turn; after a goto or a return, the caller.
        goes_on = rule.verdict not in {GOTO, RETURN} and FELL_THROUGH in here
        ends |= here - {FELL_THROUGH} if goes_on else here
        if holds and not goes_on:
            return ends
    return ends | {FELL_THROUGH}


def _ends(rule: Rule, packet: Mapping[str, str], chains: Mapping[str, Chain]) -> set[str]:
    if rule.verdict in {JUMP, GOTO}:
        return follow(chains[rule.target], packet, chains)
    if rule.verdict == RETURN:
        return {FELL_THROUGH}
    return {rule.verdict} if rule.verdict in {ACCEPT, DROP} else {ACCEPT, FELL_THROUGH}


def _holds(conditions: Iterable[Condition], packet: Mapping[str, str]) -> bool | None:
    """Tell whether all conditions hold; None where that depends on one that is not understood."""
    unknown = False
    for condition in conditions:
        if condition.field not in packet:
            unknown = True
        elif any(_fits(condition.field, value, packet[condition.field]) for value in condition.values) is (
            condition.negated
        ):
            return False
    return None if unknown else True


def _fits(field: str, wanted: str, value: str) -> bool:
    if field in {"iif", "oif"} and wanted.endswith("*"):
        return value.startswith(wanted[:-1])
    if field in {"saddr", "daddr"}:
        first, _, last = wanted.partition("-")
        address = ipaddress.ip_address(value)
        if last:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            return (low.version, int(low)) <= (address.version, int(address)) <= (high.version, int(high))
        return address in ipaddress.ip_network(wanted, strict=False)
    if field in {"sport", "dport"}:
        first, _, last = wanted.partition("-")
        return int(first) <= int(value) <= int(last or first)
    return NUMBERED.get(wanted, wanted) == value if field == "proto" else wanted == value


def _advice(manager: str, bridge: str, at: Dropped) -> list[str]:
    """Return the commands that let the bridge work, in the words of the tool that keeps the rules."""
    inward = at.chain.hook == "input"
    if manager == "firewalld":
        return [
            f"firewall-cmd --permanent --zone=trusted --change-interface={bridge}",
            "firewall-cmd --reload",
        ]
    if manager == "ufw":
        routed = [f"ufw route allow in on {bridge}", f"ufw route allow out on {bridge}"]
        return [f"ufw allow in on {bridge}"] if inward else routed
    if at.table.tool == "nft":
        rule = f"nft insert rule {at.table.family} {at.table.name} {at.chain.name}"
        ports = [
            f"{rule} iifname {bridge} udp dport '{{ 53, 67 }}' accept",
            f"{rule} iifname {bridge} tcp dport 53 accept",
        ]
        both_ways = [
            f"{rule} iifname {bridge} accept",
            f"{rule} oifname {bridge} ct state established,related accept",
        ]
    else:
        rule = f"iptables -I {'DOCKER-USER' if manager == 'Docker' else at.chain.name}"
        ports = [
            f"{rule} -i {bridge} -p udp -m multiport --dports 53,67 -j ACCEPT",
            f"{rule} -i {bridge} -p tcp --dport 53 -j ACCEPT",
        ]
        both_ways = [
            f"{rule} -i {bridge} -j ACCEPT",
            f"{rule} -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ]
    return ports if inward else both_ways


def _manager(at: Dropped) -> str:
    if at.table.name == "firewalld":
        return "firewalld"
    if "ufw-user-input" in at.table.chains:
        return "ufw"
    if "DOCKER-USER" in at.table.chains and at.chain.hook == "forward":
        return "Docker"
    return f"{at.table.tool}, table {at.table.family} {at.table.name}"


# ufw and firewalld keep what they are told.
_KEPT = {"ufw", "firewalld"}


def obstacles(found: Iterable[Dropped], bridge: str) -> list[str]:
    """Return a line for each firewall: what it keeps from the bridge, and the commands that allow it."""
    whats: dict[str, list[str]] = {}
    commands: dict[str, list[str]] = {}
    for at in found:
        manager = _manager(at)
        whats.setdefault(manager, []).append(at.what)
        commands.setdefault(manager, []).extend(_advice(manager, bridge, at))
    lines = []
    for manager, what in whats.items():
        told = "; ".join(dict.fromkeys(commands[manager]))
        line = (
            f"the firewall of this machine ({manager}) keeps {', '.join(dict.fromkeys(what))} from the bridge"
        )
        line += f" {bridge}; run as root: {told}"
        if manager not in _KEPT:
            line += " (and put these rules where the others are kept: they last until the next reboot)"
        lines.append(line)
    return lines


def read(nft: str, iptables: Iterable[str]) -> list[Table]:
    """Return the tables of all sources: `nft -j list ruleset`, iptables-save and its legacy form."""
    tables = [table for text in iptables for table in parse_iptables(text)]
    # iptables keeps its rules in tables of nftables, which nft shows in part only.
    known = {(table.family, table.name) for table in tables}
    if nft:
        tables += [table for table in parse_nft(nft) if (table.family, table.name) not in known]
    return tables
