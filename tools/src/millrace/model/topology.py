"""The topology of an environment (inventories/<env>/topology.yml): the only list of its nodes."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from millrace.model.openstack import KEY as OPENSTACK
from millrace.model.openstack import OpenStack, read_openstack
from millrace.model.providers import BRIDGED, CLOUDS, DATA_DISKS, PROVIDERS
from millrace.yamlio import Reader, load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
# They stand for other things: in /etc/hosts and Ansible, in the catalogue's flows, in the state's root.
_NOT_NODES = ("all", "applications", "localhost", "operator", "ungrouped")
_NOT_ENVIRONMENTS = ("all", "default", "vault-password")
# Interfaces that a machine has itself or another program makes; `all` and `default` are the kernel's words.
_NOT_BRIDGES = re.compile(
    r"lo|all|default|(eth|en|wl|ww|docker|virbr|lxdbr|incusbr|veth|tun|tap|wg)[a-z]*\d.*"
)
_MAX_CORES = 1024
_MAX_MEMORY = 16 * 1024 * 1024
_MAX_DISK = 1024 * 1024
# A root disk is a layer over the image of 3 GiB (providers/libvirt/image.py).
_MIN_DISK = {"libvirt": 4}
_DATA_DISK = re.compile(r"[a-z][a-z0-9]{0,14}")


@dataclass(frozen=True, slots=True)
class Node:
    """One machine: memory in MiB, disks in GiB; `address` is None only where the file says it wrongly.

    `disposable` says that tests may kill, freeze and cut off the node and what runs on it. `data` are disks
    of their own by what they hold, sorted: they outlive the node.
    """

    name: str
    groups: tuple[str, ...]
    address: str | None
    cores: int
    memory: int
    disk: int
    disposable: bool = False
    data: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Network:
    """The network that the nodes are in; `bridge` only where this machine makes one."""

    cidr: IPv4Network
    gateway: IPv4Address
    bridge: str | None


@dataclass(frozen=True, slots=True)
class Topology:
    """An environment: its nodes by name, in the order of the file. `openstack` is that provider's section."""

    environment: str
    provider: str
    domain: str
    network: Network | None
    operator_sources: tuple[str, ...]
    nodes: Mapping[str, Node]
    openstack: OpenStack | None = None

    @property
    def memory(self) -> int:
        """The sum of all nodes' memory in MiB."""
        return sum(node.memory for node in self.nodes.values())

    @property
    def disposable(self) -> bool:
        """Whether tests may do with every node what they like."""
        return not self.lasting

    @property
    def lasting(self) -> list[str]:
        """The names of the nodes that are not disposable: what they hold must survive all tests."""
        return [node.name for node in self.nodes.values() if not node.disposable]

    def members(self, group: str) -> list[Node]:
        """Return the nodes of a group; `all` is every node."""
        return [node for node in self.nodes.values() if group == "all" or group in node.groups]


def load_topology(path: Path) -> Topology:
    """Read and validate a topology. Raises InvalidInputError with every problem, each naming its key."""
    return parse_topology(load_yaml(path))


def parse_topology(data: object) -> Topology:
    """Validate what a topology file holds. Raises InvalidInputError."""
    reader = Reader()
    topology = read_topology(data, reader)
    reader.raise_if_any()
    return topology


def read_topology(data: object, reader: Reader) -> Topology:
    """Return what can be made out of a topology file's content, noting what is wrong with it."""
    top = reader.fields(
        data, "", ["environment", "provider", "domain", "nodes"], ["network", "operator_sources", OPENSTACK]
    )
    provider = reader.choice(top, "provider", "", PROVIDERS)
    network = _network(reader, top["network"], provider) if "network" in top else None
    if provider in PROVIDERS and "network" not in top and isinstance(data, dict):
        wanted = "cidr, gateway and bridge" if provider in BRIDGED else "cidr and gateway"
        reader.add("network", f"is missing; the provider {provider} needs {wanted}")
    listed = reader.mapping(top.get("nodes", {}), "nodes")
    if "nodes" in top and not listed:
        reader.add("nodes", "must name at least one node")
    nodes = {name: _node(reader, name, value, provider) for name, value in listed.items()}
    _check_addresses(reader, nodes, network)
    for name in sorted(nodes.keys() & {group for node in nodes.values() for group in node.groups}):
        reader.add(f"nodes.{name}", "is also the name of a group; give the node another name")
    # Nobody comes through a cloud's gateway: who may use SSH must be named before it is closed to all else.
    if provider in CLOUDS and top.get("operator_sources", []) == []:
        reader.add("operator_sources", f"is missing; with {provider}, name the addresses that SSH comes from")
    gateway = () if network is None or provider in CLOUDS else (str(network.gateway),)
    environment = _label(reader, top, "environment")
    if environment in _NOT_ENVIRONMENTS:
        reader.add(
            "environment", f"{environment!r} has another meaning; choose another name (of the folder too)"
        )
    return Topology(
        environment=environment,
        provider=provider,
        domain=_domain(reader, top),
        network=network,
        operator_sources=_sources(reader, top) or gateway,
        nodes=nodes,
        openstack=_openstack(reader, top, provider),
    )


def _openstack(reader: Reader, top: Mapping[str, object], provider: str) -> OpenStack | None:
    if OPENSTACK in top and provider == OPENSTACK:
        return read_openstack(reader, top[OPENSTACK])
    if OPENSTACK in top and provider in PROVIDERS:
        reader.add(OPENSTACK, f"is for the provider openstack alone, not {provider}; take it out")
    elif provider == OPENSTACK:
        reader.add(OPENSTACK, "is missing; it names cloud, external_network, image and flavors")
    return None


def _label(reader: Reader, top: Mapping[str, object], key: str) -> str:
    value = reader.text(top, key, "")
    if value and not _LABEL.fullmatch(value):
        reader.add(
            key, f"must be lower-case letters, digits and hyphens, beginning with a letter, not {value!r}"
        )
    return value


def _domain(reader: Reader, top: Mapping[str, object]) -> str:
    domain = reader.text(top, "domain", "")
    if domain and not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        reader.add(
            "domain", f"must be labels of lower-case letters, digits and hyphens with dots, not {domain!r}"
        )
    return domain


def _sources(reader: Reader, top: Mapping[str, object]) -> tuple[str, ...]:
    sources = reader.texts(top, "operator_sources", "")
    for source in sources:
        try:
            prefix = IPv4Network(source).prefixlen
        except ValueError:
            reader.add(
                "operator_sources", f"must be IPv4 addresses or networks such as 192.0.2.0/24, not {source!r}"
            )
        else:
            if prefix == 0:
                reader.add("operator_sources", f"{source} is everyone; name the networks that SSH comes from")
    return sources


def _network(reader: Reader, value: object, provider: str) -> Network | None:
    fields = reader.fields(value, "network", ["cidr", "gateway"], ["bridge"])
    before = len(reader.problems)
    cidr = gateway = None
    text = reader.text(fields, "cidr", "network")
    with contextlib.suppress(ValueError):
        cidr = IPv4Network(text) if text else None
    # Terraform reads no netmask.
    if text and (cidr is None or not re.search(r"/\d+$", text)):
        reader.add("network.cidr", f"must be an IPv4 network such as 10.77.0.0/24, not {text!r}")
    gateway = _address(reader, fields, "gateway", "network")
    if cidr is not None and not _for_nodes(cidr):
        reader.add("network.cidr", f"must be a network for hosts such as 10.77.0.0/24, not {cidr}")
    if cidr is not None and gateway is not None and not _is_host(gateway, cidr):
        reader.add("network.gateway", f"must be a host's address in {cidr} (network.cidr), not {gateway}")
    bridge = reader.text(fields, "bridge", "network") or None
    if provider in BRIDGED and isinstance(value, dict) and "bridge" not in fields:
        reader.add("network.bridge", f"is missing; the provider {provider} makes a bridge of that name")
    if provider in CLOUDS and "bridge" in fields:
        reader.add("network.bridge", f"is for bridges of this machine; {provider} makes none, so take it out")
    if bridge and _NOT_BRIDGES.fullmatch(bridge):
        reader.add(
            "network.bridge", f"{bridge!r} is a name for other interfaces; choose one such as millrace0"
        )
    if bridge and not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", bridge):
        reader.add("network.bridge", f"must be an interface name of at most 15 characters, not {bridge!r}")
    if cidr is None or gateway is None or len(reader.problems) > before:
        return None
    return Network(cidr, gateway, bridge)


def _for_nodes(cidr: IPv4Network) -> bool:
    """Tell whether a network may be that of nodes: not loopback, multicast or the like, and with room."""
    ranges = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
    return cidr.num_addresses > 2 and not any(cidr.overlaps(IPv4Network(one)) for one in ranges)  # noqa: PLR2004 - its ends


def _is_host(address: IPv4Address, cidr: IPv4Network) -> bool:
    return address in cidr and address not in {cidr.network_address, cidr.broadcast_address}


def _address(reader: Reader, fields: Mapping[str, object], key: str, where: str) -> IPv4Address | None:
    text = reader.text(fields, key, where)
    try:
        return IPv4Address(text) if text else None
    except AddressValueError:
        reader.add(f"{where}.{key}", f"must be an IPv4 address such as 10.77.0.11, not {text!r}")
        return None


def _node(reader: Reader, name: str, value: object, provider: str) -> Node:
    where = f"nodes.{name}"
    if not _LABEL.fullmatch(name):
        reader.add(
            where, "a node's name must be lower-case letters, digits and hyphens, beginning with a letter"
        )
    if name in _NOT_NODES:
        reader.add(where, f"{name!r} has another meaning; give the node another name, such as {name}-1")
    required = ["groups", "address", "cores", "memory", "disk"]
    fields = reader.fields(value, where, required, ["data", "disposable"])
    groups = reader.texts(fields, "groups", where)
    if fields.get("groups") == []:
        reader.add(f"{where}.groups", "must name at least one group")
    address = _address(reader, fields, "address", where)
    return Node(
        name=name,
        groups=groups,
        address=None if address is None else str(address),
        cores=reader.integer(fields, "cores", where, 1, _MAX_CORES),
        memory=reader.integer(fields, "memory", where, 128, _MAX_MEMORY),
        disk=reader.integer(fields, "disk", where, _MIN_DISK.get(provider, 1), _MAX_DISK),
        disposable=reader.flag(fields, "disposable", where),
        data=_data(reader, fields, where, provider),
    )


def _data(reader: Reader, fields: Mapping[str, object], where: str, provider: str) -> dict[str, int]:
    if "data" not in fields:
        return {}
    listed = reader.mapping(fields["data"], f"{where}.data")
    if provider in PROVIDERS and provider not in DATA_DISKS:
        made = " and ".join(DATA_DISKS)
        reader.add(f"{where}.data", f"the provider {provider} makes no data disks; {made} do")
    for name in listed:
        if not _DATA_DISK.fullmatch(name):
            reader.add(
                f"{where}.data",
                f"a data disk's name must be at most 15 lower-case letters and digits, not {name!r}",
            )
    return {name: reader.integer(listed, name, f"{where}.data", 1, _MAX_DISK) for name in sorted(listed)}


def _check_addresses(reader: Reader, nodes: Mapping[str, Node], network: Network | None) -> None:
    owner: dict[str, str] = {} if network is None else {str(network.gateway): "the gateway"}
    for node in nodes.values():
        if node.address is None:
            continue
        where = f"nodes.{node.name}.address"
        if node.address in owner:
            reader.add(where, f"{node.address} already belongs to {owner[node.address]}; choose a free one")
        owner.setdefault(node.address, node.name)
        if network is None:
            continue
        if not _is_host(IPv4Address(node.address), network.cidr):
            reader.add(
                where, f"must be a host's address in {network.cidr} (network.cidr), not {node.address}"
            )
