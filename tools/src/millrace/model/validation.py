"""Checks that need topology and catalogue together, made before any node is contacted."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace import paths
from millrace.model.applications import Application, load_applications
from millrace.model.catalogue import Catalogue, read_catalogue
from millrace.model.commands import targets
from millrace.model.joined import collisions, join
from millrace.model.lasting import refusal
from millrace.model.neighbours import Place, conflicts
from millrace.model.openstack import DEFAULT as DEFAULT_FLAVOR
from millrace.model.placement import absent, port_collisions, unmet
from millrace.model.providers import CLOUDS
from millrace.model.secrets import platform_kinds
from millrace.model.topology import Topology, read_topology
from millrace.model.variables import CONTROLLERS, setting_problems
from millrace.yamlio import InvalidInputError, Reader, load_yaml, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from millrace.model.programs import Program


# The roles have no standby for these: they would take the first node and forget the others.
SINGLE = ("hdfs_namenode", "spark_master", "timescaledb")
CATALOGUE = "ansible/catalogue.yml"


@dataclass(frozen=True, slots=True)
class Environment:
    """A validated environment; `catalogue` is without the services that it has no nodes for.

    `services` is the catalogue's content with the applications' services in it, as plain data.
    """

    topology: Topology
    catalogue: Catalogue
    applications: Mapping[str, Application] = field(default_factory=dict)
    services: Mapping[str, Any] = field(default_factory=dict)

    def running(self) -> list[tuple[Application, Program]]:
        """Return the programs that have nodes here, each with its application, in the order of the files."""
        return [
            (application, program)
            for application in self.applications.values()
            for program in application.programs.values()
            if program.name in self.catalogue.services
        ]

    def programs(self) -> list[dict[str, Any]]:
        """Return what is deployed of the applications' services, as plain data, in the order of the files."""
        return [application.plain(program) for application, program in self.running()]

    def whole(self, application: Application) -> bool:
        """Tell whether every service of an application is there, but for what it can do without."""
        without_hdfs = not set(self.catalogue.clients.get("hdfs", ())) <= self.catalogue.services.keys()
        return all(
            name in self.catalogue.services
            or bool(service.get("optional"))
            or (without_hdfs and application.programs[name].needs_hdfs)
            for name, service in application.services.items()
        )

    def absent(self) -> str:
        """Return one line that tells which services are not here; empty where none is missing."""
        owners = {name: app.name for app in self.applications.values() for name in app.services}
        missing = {
            name: str(service["group"])
            for name, service in self.services.items()
            if not service.get("optional") and name not in self.catalogue.services
        }
        return absent(
            missing, owners, {group for node in self.topology.nodes.values() for group in node.groups}
        )


def load_environment(topology_path: Path, root: Path | None = None) -> Environment:
    """Read a topology, the catalogue and the applications of the clone `root`, and check them together.

    Raises InvalidInputError with the problems of all.
    """
    root = root or paths.repo_root()
    reader = Reader()
    folder = topology_path.resolve().parent.name
    topology = read_topology(load_yaml(topology_path), reader)
    reader.problems = [f"{_topology_file(folder)}: {problem}" for problem in reader.problems]
    told = len(reader.problems)
    platform = load_yaml(root / CATALOGUE)
    applications = load_applications(root / "services")
    joined = join(platform, applications)
    catalogue = read_catalogue(joined, reader)
    reader.problems[told:] = _placed(reader.problems[told:], folder, applications)
    # What is a file already, make would take for made.
    named = {*targets(root), *(path.name for path in root.iterdir())}
    reader.problems += collisions(platform, platform_kinds(root), applications, named)
    reader.problems += _principals(topology, applications)
    if topology.environment not in {"", folder}:
        reader.add(
            f"{_topology_file(folder)}: environment",
            f"must be {folder!r}, its folder's name, not {topology.environment!r}",
        )
    reader.problems += _placed(check_together(topology, catalogue), folder, applications)
    reader.raise_if_any()
    running = {name: one for name, one in catalogue.services.items() if topology.members(one.group)}
    for application in applications.values():
        for program in application.programs.values():
            if program.needs_hdfs and not set(catalogue.clients["hdfs"]) <= running.keys():
                running.pop(program.name, None)
    content = joined["services"] if isinstance(joined, dict) else {}
    return Environment(topology, replace(catalogue, services=running), applications, content)


def _principals(topology: Topology, applications: Mapping[str, Application]) -> list[str]:
    """Return a problem for each Kafka account called as a node: brokers may do everything, by their names."""
    return [
        f"services/{folder}/application.yml: kafka.accounts.{account}: a node of the topology is called so,"
        " and Kafka lets nodes do everything; choose another name"
        for folder, application in applications.items()
        for account in application.accounts
        if account in topology.nodes
    ]


def _topology_file(env: str) -> str:
    return f"inventories/{env}/topology.yml"


def _placed(problems: Iterable[str], env: str, applications: Mapping[str, Application]) -> list[str]:
    """Return problems of topology and catalogue with the file before each in which its key stands."""
    owners = {name: app.name for app in applications.values() for name in app.services}
    placed = []
    for problem in problems:
        first, _, rest = problem.partition(":")[0].partition(".")
        place = _topology_file(env) if first in {"nodes", "network", "openstack"} else CATALOGUE
        if first == "services" and (owner := owners.get(rest.partition(".")[0])):
            place = f"services/{owner}/application.yml"
        placed.append(f"{place}: {problem}")
    return placed


def named_environment(env: str) -> Environment:
    """Load an environment of this clone by its name. Raises InvalidInputError."""
    known = paths.environments()
    if env not in known:
        raise InvalidInputError([f"ENV: there is no environment {env!r}; there are: {', '.join(known)}"])
    return load_environment(paths.repo_root() / _topology_file(env))


def check_together(topology: Topology, catalogue: Catalogue) -> list[str]:
    """Return what is wrong between a topology and a catalogue, each of them checked by itself before."""
    problems: list[str] = []
    known = ", ".join(sorted(catalogue.groups))
    used = {group for node in topology.nodes.values() for group in node.groups}
    for node in topology.nodes.values():
        problems += [
            f"nodes.{node.name}.groups: unknown group {group!r}{nearest(group, catalogue.groups)}; known from"
            f" the catalogue: {known}"
            for group in node.groups
            if group not in catalogue.groups
        ]
        problems += [
            f"nodes.{node.name}.data.{disk}: no service has such a disk{nearest(disk, catalogue.data)};"
            f" known: {', '.join(sorted(catalogue.data))}"
            for disk in node.data
            if disk not in catalogue.data
        ]
        problems += [
            f"nodes.{node.name}.data.{disk}: nothing here keeps it, but a node of {', '.join(place.groups)}"
            for disk, place in catalogue.data.items()
            if disk in node.data and not set(place.groups) & set(node.groups)
        ]
        if node.name in catalogue.groups - used:
            problems.append(f"nodes.{node.name}: is also the name of a group; give the node another name")
    problems += unmet(topology, catalogue)
    flavors = topology.openstack.flavors if topology.openstack else {}
    problems += [
        f"openstack.flavors.{group}: there is no such group{nearest(group, catalogue.groups)}; known: {known}"
        for group in flavors
        if group not in {*catalogue.groups, DEFAULT_FLAVOR}
    ]
    for group in SINGLE:
        if len(several := [node.name for node in topology.members(group)]) > 1:
            problems.append(
                f"nodes.{several[1]}.groups: {several[0]} is in {group!r} already, and there can be one only;"
                f" take {group!r} away here"
            )
    controllers = len(topology.members(CONTROLLERS))
    if controllers and controllers % 2 == 0:
        problems.append(
            f"nodes: {controllers} nodes are in the group {CONTROLLERS!r}; Kafka's controllers need"
            f" an odd number, so {controllers - 1} or {controllers + 1}"
        )
    return problems + list(port_collisions(topology, catalogue))


def check_memory(topology: Topology, available: int) -> list[str]:
    """Return a problem if the nodes together have more memory than `available` MiB."""
    if topology.memory <= available:
        return []
    message = (
        f"nodes: their memory adds up to {topology.memory} MiB, but this machine has {available} MiB;"
        " lower nodes.*.memory or remove nodes"
    )
    return [message]


def machine_memory() -> int:
    """Return this machine's memory in MiB."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) // 1024
    message = "/proc/meminfo has no line MemTotal"
    raise RuntimeError(message)


def neighbour_problems(topology: Topology, inventories: Path) -> list[str]:
    """Return a problem for each other environment in `inventories` that has the same bridge or addresses.

    Only those count that are made on this machine, and of which enough can be read: their own `make validate`
    tells what is wrong with the rest.
    """
    own = _place(topology)
    if own is None:
        return []
    others = {}
    for path in sorted(inventories.glob("*/topology.yml")):
        env = path.parent.name
        if env == topology.environment:
            continue
        try:
            place = _place(read_topology(load_yaml(path), Reader()))
        except InvalidInputError:
            continue
        if place is not None:
            others[env] = place
    return conflicts(own, others)


def _place(topology: Topology) -> Place | None:
    network = topology.network
    if topology.provider in CLOUDS or network is None or network.bridge is None:
        return None
    return Place(network.bridge, network.cidr)


def problems_of(env: str) -> list[str]:
    """Return everything that is wrong with an environment: topology, catalogue, applications, settings."""
    try:
        environment = named_environment(env)
        topology = environment.topology
        inventories = paths.repo_root() / "inventories"
        problems = setting_problems(environment, inventories / env)
        problems += _placed(neighbour_problems(topology, inventories), env, {})
    except InvalidInputError as error:
        return list(error.problems)
    # The machine that runs virtual machines may be another one: there, the bootstrap counts.
    if topology.provider == "lab":
        problems += _placed(check_memory(topology, machine_memory()), env, {})
    return problems


def validate(env: str, *, disposable: bool = False) -> int:
    """Print the problems of an environment, one a line, to stderr; return 1 if there are any, else 0.

    With ``disposable``, a node that tests must not strike is a problem too.
    """
    problems = problems_of(env)
    if disposable and not problems:
        problems += disposable_problems(named_environment(env).topology)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def disposable_problems(topology: Topology) -> list[str]:
    """Return a problem where a node is not disposable, so that tests must keep away."""
    message = refusal(topology.environment, topology.lasting)
    return [message] if message else []


def main(argv: list[str] | None = None) -> int:
    """Run `millrace validate`."""
    parser = argparse.ArgumentParser(prog="millrace validate", description="Check topology and catalogue.")
    parser.add_argument("--env", default=paths.environment(), help="the environment (default: %(default)s)")
    parser.add_argument("--disposable", action="store_true", help="also refuse a node that is not disposable")
    args = parser.parse_args(argv)
    env = args.env
    status = validate(env, disposable=args.disposable)
    if status == 0:
        sys.stdout.write(f"topology and catalogue of {env}: valid\n")
        if told := named_environment(env).absent():
            sys.stdout.write(f"{told}\n")
    return status
