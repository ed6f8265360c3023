"""A topology with some groups of another one, for an environment that a test makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def only(
    topology: Mapping[str, Any],
    name: str,
    network: Mapping[str, str],
    groups: Collection[str],
    **node: object,
) -> dict[str, Any]:
    """Return a topology with the nodes of `groups`, which are in no other group, in a network of its own.

    A node has one of the groups in the source, or none. `node` replaces keys of each node.
    """
    prefix = network["cidr"].rpartition(".")[0]
    nodes = {
        one: {
            **given,
            **node,
            "groups": [group],
            "address": f"{prefix}.{given['address'].rpartition('.')[2]}",
        }
        for one, given in topology["nodes"].items()
        for group in given["groups"]
        if group in groups
    }
    domain = f"{name}.millrace.internal"
    return {**topology, "environment": name, "domain": domain, "network": dict(network), "nodes": nodes}
