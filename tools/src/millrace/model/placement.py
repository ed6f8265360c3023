"""Which services share nodes, what they need of one another, and what of them is not placed."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from millrace.model.catalogue import Catalogue
    from millrace.model.topology import Topology

PLATFORM = "the platform"
# From this likeness on: spark_driver for spark_drivers, but not spark_master for spark_workers.
_SLIP = 0.85


def unmet(topology: Topology, catalogue: Catalogue) -> list[str]:
    """Return a problem for each pair of groups of which one has nodes and needs what the other has not."""
    wanted: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for service in catalogue.services.values():
        if not topology.members(service.group):
            continue
        for name in service.needs:
            needed = catalogue.services.get(name)
            if needed is None or topology.members(needed.group):
                continue
            who, what = wanted.setdefault((service.group, needed.group), ([], []))
            who += [service.name] if service.name not in who else []
            what += [name] if name not in what else []
    return [
        f"nodes: {', '.join(who)} (group {group!r}: {_names(topology, group)})"
        f" {_needs(who)} {', '.join(what)}, but no node is in {missing!r}; put one in, or take {group!r} away"
        for (group, missing), (who, what) in wanted.items()
    ]


def _names(topology: Topology, group: str) -> str:
    return ", ".join(node.name for node in topology.members(group))


def _needs(who: list[str]) -> str:
    return "needs" if len(who) == 1 else "need"


def absent(services: Mapping[str, str], owners: Mapping[str, str], used: Collection[str]) -> str:
    """Return one line that tells what is not placed; empty where there is nothing to tell.

    `services` are those that have no node, each with its group; `owners` has the application of those that
    are not the platform's. A group that is almost one of the groups `used` may be a slip of the pen.
    """
    missing: dict[str, list[str]] = {}
    for name, group in services.items():
        near = difflib.get_close_matches(group, sorted(used), n=1, cutoff=_SLIP) if group not in used else []
        meant = f" (its group is {group!r}; is {near[0]!r} meant?)" if near else ""
        missing.setdefault(owners.get(name, PLATFORM), []).append(f"{name}{meant}")
    if not missing:
        return ""
    return "not placed: " + "; ".join(f"of {owner} {', '.join(names)}" for owner, names in missing.items())


def port_collisions(topology: Topology, catalogue: Catalogue) -> Iterator[str]:
    """Yield a problem for each two ports of different services that meet on a node."""
    services = list(catalogue.services.values())
    for index, one in enumerate(services):
        for other in services[index + 1 :]:
            shared = (
                node.name
                for node in topology.nodes.values()
                if one.runs_on(node.groups) and other.runs_on(node.groups)
            )
            # One node is enough to tell: the ports are the same on all of them.
            for node in itertools.islice(shared, 1):
                for port, taken in itertools.product(other.ports.values(), one.ports.values()):
                    if port.overlaps(taken):
                        yield (
                            f"services.{other.name}.ports.{port.name}: {port} is already taken by"
                            f" {one.name}.{taken.name} on the node {node}; choose a free port"
                        )
