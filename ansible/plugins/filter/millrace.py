"""Filters for all roles: firewall flows from the catalogue, configuration files from one mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible.errors import AnsibleFilterError

from millrace.model.catalogue import allowed_flows, parse_catalogue
from millrace.model.replication import kafka_in_sync
from millrace.model.settings import merge, to_properties
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DOCUMENTATION = """
name: millrace
short_description: Filters of Millrace
description:
  - C(HOSTNAME | millrace_flows(millrace_nodes, millrace_services, operator_sources)) gives the sorted list of
    what may reach a node, each C({port, protocol, sources, names}), C(port) being 9092 or 7080-7095, as text.
  - C(defaults | millrace_merge(features, extras)) gives one sorted mapping; later ones win, null removes.
  - C(accounts | millrace_passwords(millrace_secrets)) gives accounts, each C({name, secret}), their passwords
    in place of the secret's name.
  - C(factor | millrace_in_sync) gives how many of so many copies must have a message before it counts.
  - C(settings | to_properties(style)) renders it, C(style) being C(java), C(spark),
    C(postgresql) or C(hadoop).
"""


@dataclass(frozen=True)
class _Node:
    address: str | None
    groups: tuple[str, ...]


def millrace_flows(
    hostname: str,
    nodes: Mapping[str, Mapping[str, object]],
    services: Mapping[str, object],
    operator_sources: Sequence[str] = (),
) -> list[dict[str, object]]:
    """Return what may reach the node `hostname`: sorted dicts with port, protocol, sources and names."""
    if hostname not in nodes:
        message = f"millrace_flows: there is no node {hostname!r}; there are: {', '.join(sorted(nodes))}"
        raise AnsibleFilterError(message)
    endpoints = {str(name): _endpoint(node) for name, node in nodes.items()}
    try:
        catalogue = parse_catalogue({"services": services})
        flows = allowed_flows(endpoints, catalogue, hostname, operator_sources)
    except (InvalidInputError, ValueError) as error:
        message = f"millrace_flows: {error}"
        raise AnsibleFilterError(message) from error
    return [
        {"port": flow.port, "protocol": flow.protocol, "sources": list(flow.sources), "names": [flow.name]}
        for flow in flows
    ]


def _endpoint(node: Mapping[str, object]) -> _Node:
    address, groups = node.get("address"), node.get("groups", ())
    if not isinstance(groups, (list, tuple)):
        message = f"millrace_flows: a node's groups must be a list, not {groups!r}"
        raise AnsibleFilterError(message)
    return _Node(None if address is None else str(address), tuple(str(group) for group in groups))


def millrace_merge(defaults: Mapping[str, object], *layers: Mapping[str, object]) -> dict[str, object]:
    """Return one mapping sorted by key: later layers win, and a null there removes the key."""
    try:
        return merge(defaults, *layers)
    except TypeError as error:
        message = f"millrace_merge: {error}"
        raise AnsibleFilterError(message) from error


def passwords(accounts: Sequence[Mapping[str, str]], secrets: Mapping[str, str]) -> list[dict[str, str]]:
    """Return accounts with name and password; AnsibleFilterError for a secret that is not there."""
    if missing := sorted(account["secret"] for account in accounts if account["secret"] not in secrets):
        message = f"millrace_passwords: no secret {', '.join(missing)}; run `millrace secrets ensure`"
        raise AnsibleFilterError(message)
    return [{"name": account["name"], "password": secrets[account["secret"]]} for account in accounts]


def properties(settings: Mapping[str, object], style: str = "java") -> str:
    """Render a mapping as sorted lines in the style java, spark, postgresql or hadoop."""
    try:
        return to_properties(settings, style)
    except (TypeError, ValueError) as error:
        message = f"to_properties: {error}"
        raise AnsibleFilterError(message) from error


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filters by their names in templates."""
        return {
            "millrace_flows": millrace_flows,
            "millrace_in_sync": kafka_in_sync,
            "millrace_merge": millrace_merge,
            "millrace_passwords": passwords,
            "to_properties": properties,
        }
