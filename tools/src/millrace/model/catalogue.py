"""The service catalogue (ansible/catalogue.yml): services, ports, health checks, and who may reach what.

`allowed_flows` derives from it what a node's firewall lets in. Only `load_catalogue` reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Protocol

from millrace.yamlio import Reader, load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

EVERY_NODE = "all"
OPERATOR = "operator"
# Jump hosts: a group without services of its own.
BASTION = "bastion"
# The port of a service that a debugger attaches to.
DEBUG = "debug"
_PROTOCOLS = ("tcp", "udp")
_TLS = ("none", "server", "mutual", "shared-secret")
_HIGHEST_PORT = 65535
_KEYS = ("group", "unit", "ports", "health", "metrics", "gateway")


@dataclass(frozen=True, slots=True)
class Port:
    """A port or a range of ports, both ends included, and the groups that may reach it from other nodes."""

    name: str
    first: int
    last: int
    protocol: str
    tls: str
    sources: tuple[str, ...]

    def __str__(self) -> str:
        """Return the number, or `first-last` for a range."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: Port) -> bool:
        """Tell whether both can't be listened on by two services of one node."""
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Health:
    """A check made on the node: `unit` asks systemd only, `tcp` connects, `http` expects status 200."""

    kind: str
    port: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus scrapes a service: the name of one of its ports, and the path."""

    port: str
    path: str


@dataclass(frozen=True, slots=True)
class DataPlace:
    """Where a data disk is mounted, the user whose its data is, and the groups whose nodes keep such data."""

    path: str
    user: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of the catalogue."""

    name: str
    group: str
    unit: str
    logs: tuple[str, ...]
    ports: Mapping[str, Port]
    health: Health
    metrics: Metrics | None
    gateway: str | None
    optional: bool
    """Whether an environment without a node for it is whole."""
    needs: tuple[str, ...] = ()
    """Other services without which it cannot work, on whatever nodes."""

    @property
    def is_daemon(self) -> bool:
        """Whether it has a process as long as its unit is active: a timer has none."""
        return self.unit.endswith(".service")

    def runs_on(self, groups: Iterable[str]) -> bool:
        """Tell whether a node in these groups runs the service."""
        return self.group == EVERY_NODE or self.group in groups


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All services by name, in the order of the file.

    `clients` are names of what an application may use, each with the services that offer it; `data` are
    those of data disks.
    """

    services: Mapping[str, Service]
    clients: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    data: Mapping[str, DataPlace] = field(default_factory=dict)

    @property
    def groups(self) -> frozenset[str]:
        """The groups that nodes may be in: those that some service runs on, and that of the jump hosts."""
        return frozenset(service.group for service in self.services.values()) - {EVERY_NODE} | {BASTION}


@dataclass(frozen=True, slots=True)
class Flow:
    """What one port of a node accepts from elsewhere: sorted addresses (or networks), and `service.port`."""

    port: str
    protocol: str
    sources: tuple[str, ...]
    name: str


class Endpoint(Protocol):
    """The part of a node that the firewall needs."""

    @property
    def address(self) -> str | None:
        """The node's IPv4 address, None while the provider has not assigned one."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that the node is in."""


def load_catalogue(path: Path) -> Catalogue:
    """Read and validate the catalogue. Raises InvalidInputError with every problem, each naming its key."""
    return parse_catalogue(load_yaml(path))


def parse_catalogue(data: object) -> Catalogue:
    """Validate a mapping with the key `services`, and perhaps `clients`. Raises InvalidInputError."""
    reader = Reader()
    catalogue = read_catalogue(data, reader)
    reader.raise_if_any()
    return catalogue


def read_catalogue(data: object, reader: Reader) -> Catalogue:
    """Return what can be made out of a catalogue's content, noting what is wrong with it."""
    top = reader.fields(data, "", ["services"], ["clients", "data"])
    listed = reader.mapping(top.get("services", {}), "services")
    services = {name: _service(reader, name, value) for name, value in listed.items()}
    known = {service.group for service in services.values()} | {BASTION, EVERY_NODE, OPERATOR}
    for service in services.values():
        for needed in service.needs:
            if needed not in services:
                reader.add(f"services.{service.name}.needs", f"there is no service {needed!r}")
        for port in service.ports.values():
            for source in port.sources:
                if source not in known:
                    reader.add(
                        f"services.{service.name}.ports.{port.name}.from",
                        f"unknown group {source!r}; known: {', '.join(sorted(known))}",
                    )
    return Catalogue(services, _clients(reader, top, services), _data(reader, top))


def _data(reader: Reader, top: Mapping[str, object]) -> dict[str, DataPlace]:
    listed = reader.mapping(top.get("data", {}), "data")
    places = {}
    for name, value in listed.items():
        where = f"data.{name}"
        fields = reader.fields(value, where, ["path", "user", "groups"])
        places[name] = DataPlace(
            path=_path(reader, fields, where) or "",
            user=reader.text(fields, "user", where),
            groups=reader.texts(fields, "groups", where),
        )
    return places


def _clients(
    reader: Reader, top: Mapping[str, object], services: Mapping[str, Service]
) -> dict[str, tuple[str, ...]]:
    listed = reader.mapping(top.get("clients", {}), "clients")
    clients = {}
    for name in listed:
        offered = [text.partition(".") for text in reader.texts(listed, name, "clients")]
        for service, _, port in offered:
            if service not in services or port not in services[service].ports:
                reader.add(f"clients.{name}", f"there is no port {service}.{port}")
        clients[name] = tuple(dict.fromkeys(service for service, *_ in offered))
    return clients


def _service(reader: Reader, name: str, value: object) -> Service:
    where = f"services.{name}"
    fields = reader.fields(value, where, _KEYS, ["logs", "needs", "optional"])
    listed = reader.mapping(fields.get("ports", {}), f"{where}.ports")
    ports = {key: _port(reader, f"{where}.ports.{key}", key, item) for key, item in listed.items()}
    names = list(ports)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            if ports[one].overlaps(ports[other]):
                reader.add(f"{where}.ports.{other}", f"{ports[other]} is already taken by the port {one!r}")
    if DEBUG in ports and ports[DEBUG].sources:
        reader.add(f"{where}.ports.{DEBUG}.from", "must be empty: who reaches a debugger can run code")
    return Service(
        name=name,
        group=reader.text(fields, "group", where),
        unit=reader.text(fields, "unit", where),
        logs=reader.texts(fields, "logs", where),
        ports=ports,
        health=_health(reader, f"{where}.health", fields.get("health", {"type": "unit"}), ports),
        metrics=_metrics(reader, f"{where}.metrics", fields.get("metrics"), ports),
        gateway=None if fields.get("gateway") is None else reader.text(fields, "gateway", where),
        optional=reader.flag(fields, "optional", where),
        needs=reader.texts(fields, "needs", where),
    )


def _port(reader: Reader, where: str, name: str, value: object) -> Port:
    fields = reader.fields(value, where, ["port", "protocol", "tls", "from"], ["end"])
    first = reader.integer(fields, "port", where, 1, _HIGHEST_PORT)
    last = reader.integer(fields, "end", where, 1, _HIGHEST_PORT) if "end" in fields else first
    if last < first:
        reader.add(f"{where}.end", f"must be at least {first}, the first port of the range, not {last}")
    return Port(
        name=name,
        first=first,
        last=last,
        protocol=reader.choice(fields, "protocol", where, _PROTOCOLS),
        tls=reader.choice(fields, "tls", where, _TLS),
        sources=reader.texts(fields, "from", where),
    )


def _health(reader: Reader, where: str, value: object, ports: Mapping[str, Port]) -> Health:
    keys = {"unit": ["type"], "tcp": ["type", "port"], "http": ["type", "port", "path"]}
    kind = value.get("type") if isinstance(value, dict) else None
    wanted = keys.get(kind) if isinstance(kind, str) else None
    fields = reader.fields(value, where, wanted or ["type"], [] if wanted else keys["http"])
    chosen = reader.choice(fields, "type", where, keys)
    return Health(chosen, _port_name(reader, fields, where, ports), _path(reader, fields, where))


def _metrics(reader: Reader, where: str, value: object, ports: Mapping[str, Port]) -> Metrics | None:
    if value is None:
        return None
    fields = reader.fields(value, where, ["port", "path"])
    return Metrics(_port_name(reader, fields, where, ports) or "", _path(reader, fields, where) or "")


def _port_name(
    reader: Reader, fields: Mapping[str, object], where: str, ports: Mapping[str, Port]
) -> str | None:
    return reader.choice(fields, "port", where, ports) or None


def _path(reader: Reader, fields: Mapping[str, object], where: str) -> str | None:
    path = reader.text(fields, "path", where)
    if path and not path.startswith("/"):
        reader.add(f"{where}.path", f"must begin with a slash, not {path!r}")
    return path or None


def allowed_flows(
    nodes: Mapping[str, Endpoint], catalogue: Catalogue, node: str, operator_sources: Iterable[str]
) -> list[Flow]:
    """Return what may reach `node` from outside, sorted by protocol and port, without ports closed to all.

    A node's own address is never a source (it talks to itself over the loopback), nor is a node without an
    address yet. `operator_sources` are addresses or networks that the group `operator` stands for.
    """
    operator = tuple(operator_sources)
    flows: list[tuple[str, int, Flow]] = []
    for service in catalogue.services.values():
        if not service.runs_on(nodes[node].groups):
            continue
        for port in service.ports.values():
            sources: set[str] = set(operator) if OPERATOR in port.sources else set()
            for name, other in nodes.items():
                wanted = EVERY_NODE in port.sources or not set(other.groups).isdisjoint(port.sources)
                if wanted and name != node and other.address is not None:
                    sources.add(other.address)
            if sources:
                ordered = tuple(sorted(sources, key=ip_network))
                flow = Flow(str(port), port.protocol, ordered, f"{service.name}.{port.name}")
                flows.append((port.protocol, port.first, flow))
    return [flow for *_, flow in sorted(flows, key=lambda item: item[:2])]
