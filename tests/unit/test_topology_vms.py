"""What a topology may say only where the provider makes virtual machines: data disks, a cloud's section."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from millrace.model.openstack import OpenStack
from millrace.model.topology import parse_topology
from millrace.yamlio import InvalidInputError

GOOD: dict[str, Any] = {
    "environment": "try",
    "provider": "openstack",
    "domain": "try.example",
    "network": {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1"},
    "operator_sources": ["192.0.2.0/24"],
    "openstack": {
        "cloud": "somewhere",
        "external_network": "public",
        "image": "Debian 13",
        "flavors": {"default": "small", "kafka": "large"},
        "dns": ["192.0.2.53"],
        "volume_type": "ssd",
        "anti_affinity": "soft-anti-affinity",
    },
    "nodes": {
        "db-1": {
            "groups": ["timescaledb"],
            "address": "10.0.0.31",
            "cores": 2,
            "memory": 512,
            "disk": 8,
            "data": {"wal": 5, "postgresql": 40},
        },
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


def test_a_cloud_is_read() -> None:
    topology = parse_topology(GOOD)
    assert topology.openstack == OpenStack(
        "somewhere", "public", "Debian 13", {"default": "small", "kafka": "large"}
    )
    assert topology.operator_sources == ("192.0.2.0/24",)


def test_data_disks_are_sorted() -> None:
    assert list(parse_topology(GOOD).nodes["db-1"].data.items()) == [("postgresql", 40), ("wal", 5)]


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("operator_sources", ..., "operator_sources: is missing; with openstack, name the addresses"),
        ("operator_sources", [], "operator_sources: is missing; with openstack, name the addresses"),
        ("operator_sources", ["0.0.0.0/0"], "operator_sources: 0.0.0.0/0 is everyone; name the networks"),
        ("network", ..., "network: is missing; the provider openstack needs cidr and gateway"),
        (
            "network.bridge",
            "millrace0",
            "network.bridge: is for bridges of this machine; openstack makes none",
        ),
        ("nodes.db-1.address", ..., "nodes.db-1.address: is missing"),
        ("nodes.db-1.data", {"post-gres": 1}, "nodes.db-1.data: a data disk's name must be at most 15"),
        ("nodes.db-1.data", {"a" * 16: 1}, "nodes.db-1.data: a data disk's name must be at most 15"),
        ("nodes.db-1.data", {"wal": 0}, "nodes.db-1.data.wal: must be a whole number from 1 to"),
        ("nodes.db-1.data", ["wal"], "nodes.db-1.data: must be a mapping, not ['wal']"),
        ("openstack", ..., "openstack: is missing; it names cloud, external_network, image and flavors"),
        ("openstack", None, "openstack: must be a mapping, not empty"),
        ("openstack.cloud", ..., "openstack.cloud: is missing"),
        ("openstack.cloud", 1, "openstack.cloud: must be text, not 1"),
        ("openstack.external_network", ..., "openstack.external_network: is missing"),
        ("openstack.image", ..., "openstack.image: is missing"),
        ("openstack.flavors", ..., "openstack.flavors: is missing"),
        ("openstack.flavors", "small", "openstack.flavors: must be a mapping, not 'small'"),
        ("openstack.flavors", {"kafka": "large"}, "openstack.flavors.default: is missing; nodes whose"),
        ("openstack.flavors.kafka", 4, "openstack.flavors.kafka: must be text, not 4"),
        ("openstack.dns", ["dns.example"], "openstack.dns: must be IPv4 addresses such as 192.0.2.53, not"),
        ("openstack.volume_type", 1, "openstack.volume_type: must be text, not 1"),
        ("openstack.anti_affinity", "no", "openstack.anti_affinity: must be one of anti-affinity, soft-anti"),
        ("openstack.password", "x", "openstack.password: unknown key; known here: anti_affinity, cloud, dns"),
    ],
)
def test_one_mistake_is_one_line(where: str, value: object, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_topology(changed(where, value))
    (line,) = caught.value.problems
    assert line.startswith(told)


@pytest.mark.parametrize("key", ["network", "network.bridge"])
def test_libvirt_makes_a_bridge_of_the_topologys_name(key: str) -> None:
    data = changed("network", {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1", "bridge": "millrace9"})
    data |= {"provider": "libvirt", "operator_sources": []}
    del data["openstack"]
    assert parse_topology(data).operator_sources == ("10.0.0.1",)
    if key == "network":
        del data["network"]
    else:
        del data["network"]["bridge"]
    with pytest.raises(InvalidInputError, match=rf"^{key}: is missing; the provider libvirt"):
        parse_topology(data)


def test_a_root_disk_has_room_for_the_image_of_virtual_machines() -> None:
    content = copy.deepcopy(GOOD)
    content["nodes"]["db-1"]["disk"] = 3
    parse_topology(content)
    content["provider"] = "libvirt"
    content["network"]["bridge"] = "millrace7"
    del content["openstack"]
    with pytest.raises(InvalidInputError, match=r"nodes\.db-1\.disk: must be .*4"):
        parse_topology(content)


@pytest.mark.parametrize("cidr", ["10.0.0.0/255.255.255.0", "10.0.0.0/0.0.0.255", "10.0.0.0"])
def test_a_network_has_a_prefix_length_as_terraform_reads_it(cidr: str) -> None:
    content = copy.deepcopy(GOOD)
    content["network"]["cidr"] = cidr
    with pytest.raises(InvalidInputError, match=r"network\.cidr: must be an IPv4 network such as"):
        parse_topology(content)
