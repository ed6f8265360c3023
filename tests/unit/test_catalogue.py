"""What the catalogue may say, and which flows follow from it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.model.catalogue import allowed_flows, parse_catalogue
from millrace.yamlio import InvalidInputError


def port(number: int, sources: list[str], **more: object) -> dict[str, Any]:
    return {"port": number, "protocol": "tcp", "tls": "none", "from": sources, **more}


def service(group: str, ports: dict[str, Any]) -> dict[str, Any]:
    return {"group": group, "unit": "u.service", "ports": ports, "health": {"type": "unit"}} | {
        "metrics": None,
        "gateway": None,
    }


GOOD: dict[str, Any] = {
    "services": {
        "ssh": service("all", {"ssh": port(22, ["operator"])}),
        "kafka": service(
            "kafka",
            {"client": port(9092, ["apps"]), "internal": port(9093, ["kafka"]), "own": port(9999, [])},
        ),
        "app": service("apps", {"blocks": port(7080, ["all"], end=7095)}),
    }
}


@dataclass(frozen=True)
class Node:
    """A node as the firewall sees it."""

    address: str | None
    groups: tuple[str, ...]


NODES = {
    "kafka-1": Node("10.0.0.9", ("kafka",)),
    "kafka-2": Node("10.0.0.10", ("kafka",)),
    "apps-1": Node("10.0.0.41", ("apps",)),
    "new-1": Node(None, ("apps", "kafka")),
}


def test_flows_of_a_broker() -> None:
    flows = allowed_flows(NODES, parse_catalogue(GOOD), "kafka-1", ["10.0.0.1"])
    assert [(flow.port, flow.sources, flow.name) for flow in flows] == [
        ("22", ("10.0.0.1",), "ssh.ssh"),
        ("9092", ("10.0.0.41",), "kafka.client"),
        ("9093", ("10.0.0.10",), "kafka.internal"),
    ]


def test_a_range_and_all_nodes_as_sources() -> None:
    flows = allowed_flows(NODES, parse_catalogue(GOOD), "apps-1", [])
    # Sorted as addresses, not as text, and the operator has none here.
    assert [(flow.port, flow.sources) for flow in flows] == [("7080-7095", ("10.0.0.9", "10.0.0.10"))]


addresses = st.ip_addresses(v=4).map(str)
groups = st.lists(st.sampled_from(["kafka", "apps"]), unique=True).map(tuple)
some_nodes = st.dictionaries(
    st.text("abc", min_size=1), st.builds(Node, st.none() | addresses, groups), min_size=1
)


@given(some_nodes, st.lists(addresses))
def test_nothing_flows_that_the_catalogue_does_not_name(nodes: dict[str, Node], operator: list[str]) -> None:
    catalogue = parse_catalogue(GOOD)
    for name, node in nodes.items():
        for flow in allowed_flows(nodes, catalogue, name, operator):
            of_service, of_port = flow.name.split(".")
            entry = catalogue.services[of_service]
            wanted = entry.ports[of_port].sources
            assert entry.group == "all" or entry.group in node.groups
            assert str(entry.ports[of_port]) == flow.port
            assert flow.sources
            assert len(set(flow.sources)) == len(flow.sources)
            for source in flow.sources:
                senders = [o.groups for n, o in nodes.items() if o.address == source and n != name]
                from_node = any("all" in wanted or set(wanted) & set(sender) for sender in senders)
                assert from_node or ("operator" in wanted and source in operator)


@given(some_nodes)
def test_every_source_gets_in_and_the_order_does_not_matter(nodes: dict[str, Node]) -> None:
    catalogue = parse_catalogue(GOOD)
    backwards = dict(reversed(nodes.items()))
    for name, node in nodes.items():
        flows = allowed_flows(nodes, catalogue, name, [])
        assert flows == allowed_flows(backwards, catalogue, name, [])
        if "kafka" in node.groups:
            apps = {o.address for n, o in nodes.items() if "apps" in o.groups and n != name and o.address}
            found = {source for flow in flows if flow.name == "kafka.client" for source in flow.sources}
            assert found == apps


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        (
            "kafka.ports.client.from",
            ["appz"],
            "services.kafka.ports.client.from: unknown group 'appz'; known: ",
        ),
        ("kafka.ports.client.port", 0, "services.kafka.ports.client.port: must be a whole number from 1 to"),
        ("kafka.ports.client.port", 9093, "services.kafka.ports.internal: 9093 is already taken by the port"),
        ("app.ports.blocks.end", 7000, "services.app.ports.blocks.end: must be at least 7080"),
        (
            "app.ports.blocks.end",
            70000,
            "services.app.ports.blocks.end: must be a whole number from 1 to 65535",
        ),
        (
            "kafka.ports.client.protocol",
            "sctp",
            "services.kafka.ports.client.protocol: must be one of tcp, udp",
        ),
        ("kafka.ports.client.tls", "yes", "services.kafka.ports.client.tls: must be one of mutual, none"),
        ("kafka.health", {"type": "tcp", "port": "x"}, "services.kafka.health.port: must be one of client"),
        ("kafka.health", {"type": "http", "port": "own"}, "services.kafka.health.path: is missing"),
        ("kafka.health", {"type": ["tcp"]}, "services.kafka.health.type: must be text"),
        ("kafka.health", {"type": "ping"}, "services.kafka.health.type: must be one of http, tcp, unit"),
        ("kafka.metrics", {"port": "x", "path": "/m"}, "services.kafka.metrics.port: must be one of client"),
        (
            "kafka.metrics",
            {"port": "own", "path": "m"},
            "services.kafka.metrics.path: must begin with a slash",
        ),
        (
            "kafka.ports.debug",
            port(5678, ["apps"]),
            "services.kafka.ports.debug.from: must be empty",
        ),
        ("kafka.units", "x", "services.kafka.units: unknown key"),
        ("kafka.gateway", 7, "services.kafka.gateway: must be text"),
        ("kafka.needs", ["zookeeper"], "services.kafka.needs: there is no service 'zookeeper'"),
        ("kafka.optional", "yes", "services.kafka.optional: must be true or false, not 'yes'"),
    ],
)
def test_a_mistake_is_told_with_its_key(where: str, value: object, told: str) -> None:
    data = copy.deepcopy(GOOD)
    *parents, last = where.split(".")
    target = data["services"]
    for key in parents:
        target = target[key]
    target[last] = value
    with pytest.raises(InvalidInputError) as caught:
        parse_catalogue(data)
    assert any(problem.startswith(told) for problem in caught.value.problems), caught.value.problems
