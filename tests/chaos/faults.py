"""Which faults there are, what each may strike in an environment, and which a seed chooses. No I/O."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.console import MillraceError
from millrace.model.catalogue import EVERY_NODE, OPERATOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from millrace.model.topology import Node
    from millrace.model.validation import Environment

BROKERS = "kafka"
SHELL = "ssh"


@dataclass(frozen=True)
class Fault:
    """What is done to what: `nodes` are struck.

    `unit` is the daemon's; `peers` are the addresses that the nodes are cut off from.
    """

    kind: str
    target: str
    nodes: tuple[str, ...]
    unit: str = ""
    peers: tuple[str, ...] = ()


def _daemons(kind: str, environment: Environment) -> list[Fault]:
    """Return a fault for each service on each disposable node that runs it."""
    return [
        Fault(kind, f"{service.name} on {node.name}", (node.name,), service.unit)
        for service in environment.catalogue.services.values()
        for node in _disposable(environment, service.group)
        if service.is_daemon
        # Nobody could come in to thaw the daemon that lets people in.
        and not (kind == "daemon frozen" and service.name == SHELL)
    ]


def _nodes(kind: str, environment: Environment) -> list[Fault]:
    """Return a fault for each disposable node, where something here holds the power over whole nodes."""
    if environment.topology.provider != "lab":
        return []
    return [Fault(kind, node.name, (node.name,)) for node in _disposable(environment, EVERY_NODE)]


def _cuts(kind: str, environment: Environment) -> list[Fault]:
    """Return a fault for each two tiers of which the one may reach the other.

    Groups that are the same nodes are one tier, called by the first of them.
    """
    pairs = {
        (service.group, source)
        for service in environment.catalogue.services.values()
        for port in service.ports.values()
        for source in port.sources
        if not {EVERY_NODE, OPERATOR} & {service.group, source}
    }
    found = []
    seen: set[frozenset[frozenset[str]]] = set()
    # A pair in both directions is one cut.
    for one, other in sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}):
        near, far = (environment.topology.members(group) for group in (one, other))
        names, others = (frozenset(node.name for node in side) for side in (near, far))
        pair = frozenset({names, others})
        if (
            not names
            or not others
            or names & others
            or pair in seen
            or not all(node.disposable for node in [*near, *far])
        ):
            continue
        seen.add(pair)
        peers = tuple(node.address for node in far if node.address)
        found.append(Fault(kind, f"{one} from {other}", tuple(sorted(names)), peers=peers))
    return found


def _disks(kind: str, environment: Environment) -> list[Fault]:
    """Return a fault for each disposable broker."""
    service = environment.catalogue.services.get(BROKERS)
    if service is None:
        return []
    return [
        Fault(kind, f"{service.name} on {node.name}", (node.name,), service.unit)
        for node in _disposable(environment, service.group)
    ]


KINDS: Mapping[str, Callable[[str, Environment], list[Fault]]] = {
    "daemon killed": _daemons,
    "daemon frozen": _daemons,
    "daemon restarted": _daemons,
    "node killed": _nodes,
    "node frozen": _nodes,
    "node restarted": _nodes,
    "network cut": _cuts,
    "disk full": _disks,
}


def _disposable(environment: Environment, group: str) -> list[Node]:
    return [node for node in environment.topology.members(group) if node.disposable]


def candidates(kind: str, environment: Environment) -> list[Fault]:
    """Return every fault of a kind that the environment's disposable nodes allow."""
    return KINDS[kind](kind, environment)


def plan(environment: Environment, rounds: int, seed: int) -> list[Fault]:
    """Choose a fault for each round; the same arguments give the same faults.

    Every kind comes before one comes again. Kinds are drawn apart from targets, so that a new node or service
    changes what is struck but not how. Raises MillraceError where no node is disposable.
    """
    name = environment.topology.environment
    possible = {kind: found for kind in KINDS if (found := candidates(kind, environment))}
    if not possible:
        message = (
            f"no node of {name} is `disposable: true` in inventories/{name}/topology.yml; no other is struck"
        )
        raise MillraceError(message)
    kinds, targets = (random.Random(f"chaos/{what}/{seed}") for what in ("kinds", "targets"))  # noqa: S311 - no secret
    chosen: list[Fault] = []
    while len(chosen) < rounds:
        order = [kind for kind in kinds.sample(list(KINDS), len(KINDS)) if kind in possible]
        chosen += [targets.choice(possible[kind]) for kind in order]
    return chosen[:rounds]
