"""Environments of one machine beside each other: bridges and networks must differ. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True)
class Place:
    """What an environment takes of the machine's network."""

    bridge: str
    cidr: IPv4Network


def conflicts(own: Place, others: Mapping[str, Place]) -> list[str]:
    """Return a problem for each of the other environments (by name) that has our bridge or addresses."""
    problems = []
    for env, other in sorted(others.items()):
        where = f"inventories/{env}/topology.yml"
        if other.bridge == own.bridge:
            problems.append(f"network.bridge: {own.bridge} is already that of {where}; name another one")
        if other.cidr.overlaps(own.cidr):
            problems.append(f"network.cidr: {own.cidr} overlaps {other.cidr} of {where}; choose a free one")
    return problems
