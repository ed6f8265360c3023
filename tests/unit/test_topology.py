"""What a topology file may say, and how its mistakes are told."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from millrace.model.topology import parse_topology
from millrace.yamlio import InvalidInputError, load_yaml, parse_yaml

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "environment": "lab",
    "provider": "lab",
    "domain": "lab.millrace.internal",
    "network": {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1", "bridge": "bridge0"},
    "nodes": {
        "kafka-1": {"groups": ["kafka"], "address": "10.0.0.11", "cores": 2, "memory": 1024, "disk": 8},
        "db-1": {"groups": ["timescaledb"], "address": "10.0.0.31", "cores": 2, "memory": 512, "disk": 8},
    },
}


def changed(where: str, value: object) -> dict[str, Any]:
    """Return the good topology with the value at one key path replaced; ... removes the key."""
    data = copy.deepcopy(GOOD)
    *parents, last = where.split(".")
    target = data
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return data


def test_a_good_topology_is_read() -> None:
    topology = parse_topology(GOOD)
    assert list(topology.nodes) == ["kafka-1", "db-1"]
    assert topology.memory == 1536
    assert [node.name for node in topology.members("kafka")] == ["kafka-1"]
    assert len(topology.members("all")) == 2
    assert topology.operator_sources == ("10.0.0.1",)


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("nodes.db-1.address", "10.0.0.11", "nodes.db-1.address: 10.0.0.11 already belongs to kafka-1"),
        ("nodes.db-1.address", "10.0.0.1", "nodes.db-1.address: 10.0.0.1 already belongs to the gateway"),
        ("nodes.db-1.address", "10.0.1.9", "nodes.db-1.address: must be a host's address in 10.0.0.0/24"),
        ("nodes.db-1.address", "10.0.0.255", "nodes.db-1.address: must be a host's address in 10.0.0.0/24"),
        ("nodes.db-1.address", "10.0.0.999", "nodes.db-1.address: must be an IPv4 address"),
        ("nodes.db-1.address", ..., "nodes.db-1.address: is missing"),
        ("nodes.db-1.cores", 0, "nodes.db-1.cores: must be a whole number from 1 to"),
        ("nodes.db-1.cores", True, "nodes.db-1.cores: must be a whole number"),
        ("nodes.db-1.memory", "1G", "nodes.db-1.memory: must be a whole number"),
        ("nodes.db-1.disc", 8, "nodes.db-1.disc: unknown key; known here: address, cores, data"),
        ("nodes.db-1.disposable", "yes", "nodes.db-1.disposable: must be true or false, not 'yes'"),
        ("nodes.db-1.disposable", None, "nodes.db-1.disposable: must be true or false, not None"),
        (
            "nodes.db-1.data",
            {"pg": 4},
            "nodes.db-1.data: the provider lab makes no data disks; libvirt and op",
        ),
        ("operator_sources", ["0.0.0.0/0"], "operator_sources: 0.0.0.0/0 is everyone"),
        ("openstack", {}, "openstack: is for the provider openstack alone, not lab; take it out"),
        ("nodes.db-1.groups", [], "nodes.db-1.groups: must name at least one group"),
        ("nodes.db-1.groups", "kafka", "nodes.db-1.groups: must be a list of texts"),
        ("nodes.db-1.groups", ["a", "a"], "nodes.db-1.groups: names something twice"),
        ("nodes.kafka", GOOD["nodes"]["db-1"], "nodes.kafka: is also the name of a group"),
        ("nodes.DB", GOOD["nodes"]["db-1"], "nodes.DB: a node's name must be lower-case"),
        ("nodes", {}, "nodes: must name at least one node"),
        ("nodes", None, "nodes: must be a mapping, not empty"),
        ("provider", "aws", "provider: must be one of lab, libvirt, openstack, not 'aws'"),
        ("domain", "Lab..x", "domain: must be labels"),
        ("network", ..., "network: is missing; the provider lab needs"),
        ("network.cidr", "10.0.0.1/24", "network.cidr: must be an IPv4 network"),
        ("network.gateway", "10.9.0.1", "network.gateway: must be a host's address in 10.0.0.0/24"),
        ("network.bridge", "a-name-too-long-for-it", "network.bridge: must be an interface name"),
        ("network.bridge", ..., "network.bridge: is missing; the provider lab makes a bridge of that name"),
        ("network.bridge", "lo", "network.bridge: 'lo' is a name for other interfaces"),
        ("network.bridge", "eth0", "network.bridge: 'eth0' is a name for other interfaces"),
        ("network.bridge", "docker0", "network.bridge: 'docker0' is a name for other interfaces"),
        ("network.bridge", "all", "network.bridge: 'all' is a name for other interfaces"),
        ("network.gateway", "10.0.0.0", "network.gateway: must be a host's address in 10.0.0.0/24"),
        ("network.gateway", "10.0.0.255", "network.gateway: must be a host's address in 10.0.0.0/24"),
        ("network.cidr", "127.0.0.0/24", "network.cidr: must be a network for hosts"),
        ("network.cidr", "224.0.0.0/24", "network.cidr: must be a network for hosts"),
        ("network.cidr", "0.0.0.0/0", "network.cidr: must be a network for hosts"),
        ("network.cidr", "10.0.0.1/32", "network.cidr: must be a network for hosts"),
        ("nodes.localhost", GOOD["nodes"]["db-1"], "nodes.localhost: 'localhost' has another meaning"),
        ("nodes.all", GOOD["nodes"]["db-1"], "nodes.all: 'all' has another meaning"),
        ("nodes.operator", GOOD["nodes"]["db-1"], "nodes.operator: 'operator' has another meaning"),
        ("environment", "all", "environment: 'all' has another meaning"),
        ("environment", "default", "environment: 'default' has another meaning"),
        ("environment", "vault-password", "environment: 'vault-password' has another meaning"),
        ("operator_sources", ["here"], "operator_sources: must be IPv4 addresses or networks"),
        ("surprise", 1, "surprise: unknown key"),
        ("environment", ..., "environment: is missing"),
    ],
)
def test_a_mistake_is_told_with_its_key(where: str, value: object, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(changed(where, value))
    assert any(problem.startswith(told) for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("key", "value"), [("cidr", "10.0.0"), ("gateway", "10.0.0.0"), ("bridge", "lo"), ("bridge", ...)]
)
def test_a_network_with_a_mistake_is_not_called_missing(key: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(changed(f"network.{key}", value))
    (line,) = caught.value.problems
    assert line.startswith(f"network.{key}: ")


def test_a_node_is_disposable_only_where_the_file_says_so() -> None:
    nodes = parse_topology(changed("nodes.db-1.disposable", value=True)).nodes
    assert {name: node.disposable for name, node in nodes.items()} == {"kafka-1": False, "db-1": True}


def test_all_mistakes_are_told_at_once() -> None:
    data = changed("provider", "aws")
    data["nodes"]["db-1"] |= {"cores": 0, "address": "10.0.0.11"}
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(data)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(("provider", "sources"), [("lab", ("10.0.0.1",)), ("libvirt", ("10.0.0.1",))])
def test_on_this_machine_the_operator_comes_through_the_gateway(
    provider: str, sources: tuple[str, ...]
) -> None:
    assert parse_topology(changed("provider", provider)).operator_sources == sources


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nodes:\n  a: 1\n  b: 2\n  a: 3\n", "file.yml:4: the key 'a' is already in line 2"),
        ("a: [", "file.yml: not valid YAML"),
        ("? [a]\n: 1\n", "file.yml: not valid YAML"),
    ],
)
def test_yaml_that_would_lose_something_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        parse_yaml(text, "file.yml")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nothing\.yml: can't be read"):
        load_yaml(tmp_path / "nothing.yml")
