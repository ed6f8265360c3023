"""Checks that need topology and catalogue together, made before any node is contacted."""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace import paths
from millrace.model.applications import Application, load_applications
from millrace.model.catalogue import Catalogue, read_catalogue
from millrace.model.commands import targets
from millrace.model.joined import collisions, join, slot_problems
from millrace.model.secrets import platform_kinds
from millrace.model.topology import Topology, read_topology
from millrace.yamlio import InvalidInputError, Reader, load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from millrace.model.programs import Program

CONTROLLERS = "kafka"
WORKERS = "spark_workers"
WORKER_CORES = "spark_worker_cores"
REPLICATION_KEY = "replication_factor"


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


def load_environment(topology_path: Path, root: Path | None = None) -> Environment:
    """Read a topology, the catalogue and the applications of the clone `root`, and check them together.

    Raises InvalidInputError with the problems of all.
    """
    root = root or paths.repo_root()
    reader = Reader()
    topology = read_topology(load_yaml(topology_path), reader)
    platform = load_yaml(root / "ansible" / "catalogue.yml")
    applications = load_applications(root / "services")
    joined = join(platform, applications)
    catalogue = read_catalogue(joined, reader)
    # What is a file already, make would take for made.
    named = {*targets(root), *(path.name for path in root.iterdir())}
    reader.problems += collisions(platform, platform_kinds(root), applications, named)
    folder = topology_path.resolve().parent.name
    if topology.environment not in {"", folder}:
        reader.add("environment", f"must be {folder!r}, its folder's name, not {topology.environment!r}")
    reader.problems += check_together(topology, catalogue)
    reader.raise_if_any()
    running = {name: one for name, one in catalogue.services.items() if topology.members(one.group)}
    for application in applications.values():
        for program in application.programs.values():
            if program.needs_hdfs and not set(catalogue.clients["hdfs"]) <= running.keys():
                running.pop(program.name, None)
    content = joined["services"] if isinstance(joined, dict) else {}
    return Environment(topology, Catalogue(running, catalogue.clients), applications, content)


def named_environment(env: str) -> Environment:
    """Load an environment of this clone by its name. Raises InvalidInputError, also where there is none."""
    known = paths.environments()
    if env not in known:
        raise InvalidInputError([f"ENV: there is no environment {env!r}; there are: {', '.join(known)}"])
    return load_environment(paths.repo_root() / "inventories" / env / "topology.yml")


def check_together(topology: Topology, catalogue: Catalogue) -> list[str]:
    """Return what is wrong between a topology and a catalogue, each of them checked by itself before."""
    problems: list[str] = []
    known = ", ".join(sorted(catalogue.groups))
    for node in topology.nodes.values():
        problems += [
            f"nodes.{node.name}.groups: unknown group {group!r}; known from the catalogue: {known}"
            for group in node.groups
            if group not in catalogue.groups
        ]
    problems += [
        f"services.{service.name}.group: no node is in {service.group!r}; add a node to the topology"
        for service in catalogue.services.values()
        if not service.optional and not topology.members(service.group)
    ]
    controllers = len(topology.members(CONTROLLERS))
    if controllers and controllers % 2 == 0:
        problems.append(
            f"nodes: {controllers} nodes are in the group {CONTROLLERS!r}; Kafka's controllers need"
            f" an odd number, so {controllers - 1} or {controllers + 1}"
        )
    return problems + list(_port_collisions(topology, catalogue))


def _port_collisions(topology: Topology, catalogue: Catalogue) -> Iterator[str]:
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


def check_replication(topology: Topology, factors: dict[str, int]) -> list[str]:
    """Return a problem for each replication factor (by the place that sets it) above the brokers' number."""
    brokers = len(topology.members(CONTROLLERS))
    return [
        f"{where}: {factor} is more than the {brokers} brokers in the topology; use at most {brokers}"
        for where, factor in factors.items()
        if brokers and factor > brokers
    ]


def check_memory(topology: Topology, available: int) -> list[str]:
    """Return a problem if the nodes together have more memory than `available` MiB."""
    if topology.memory <= available:
        return []
    message = (
        f"nodes: their memory adds up to {topology.memory} MiB, but this machine has {available} MiB;"
        " lower nodes.*.memory or remove nodes"
    )
    return [message]


def replication_factors(folders: Sequence[Path]) -> dict[str, int]:
    """Find replication factors in folders of variables: numbers under keys that end in `replication_factor`.

    The last folder that sets a variable wins. Returns them by `file: key.path`, without those that are
    templates. Raises InvalidInputError for a file that isn't valid YAML.
    """
    found: dict[str, tuple[Path, int]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yml")):
            found |= {where: (path, factor) for where, factor in _factors(load_yaml(path), "")}
    return {f"{path}: {where}": factor for where, (path, factor) in found.items()}


def _factors(value: object, where: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, item in value.items():
            below = f"{where}.{key}" if where else str(key)
            # Both spellings: Ansible variables and Kafka's own settings.
            if str(key).replace(".", "_").endswith(REPLICATION_KEY) and isinstance(item, int):
                yield below, item
            else:
                yield from _factors(item, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _factors(item, f"{where}[{index}]")


def machine_memory() -> int:
    """Return this machine's memory in MiB."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) // 1024
    message = "/proc/meminfo has no line MemTotal"
    raise RuntimeError(message)


def replication_problems(topology: Topology, inventory: Path) -> list[str]:
    """Return a problem for each replication factor above the brokers' number that the variables set.

    `inventory` is the environment's folder. Raises InvalidInputError for a file that isn't valid YAML.
    """
    root = paths.repo_root()
    # In the order in which Ansible lets them win.
    places = [
        root / "roles/kafka/defaults",
        inventory / "group_vars",
        root / "ansible" / "defaults",
    ]
    return check_replication(topology, replication_factors(places))


def worker_cores(inventory: Path) -> int | None:
    """Return the slots of a Spark worker that the environment in this folder sets, or the role's default.

    The largest where several files set it; None for a template, whose value is known to Ansible alone.
    Raises InvalidInputError for a file that isn't valid YAML.
    """
    files = sorted((inventory / "group_vars").rglob("*.yml"))
    default = paths.repo_root() / "roles" / "spark" / "defaults" / "main.yml"
    for group in (files, [default]):
        loaded = [content for content in map(load_yaml, group) if isinstance(content, dict)]
        if values := [content[WORKER_CORES] for content in loaded if WORKER_CORES in content]:
            numbers = [value for value in values if isinstance(value, int)]
            return max(numbers) if len(numbers) == len(values) else None
    return None


def setting_problems(environment: Environment, inventory: Path) -> list[str]:
    """Return what variables set that the topology can't carry: copies without brokers, slots without workers.

    `inventory` is the environment's folder. Raises InvalidInputError for a file that isn't valid YAML.
    """
    topology = environment.topology
    problems = replication_problems(topology, inventory)
    cores = worker_cores(inventory)
    if cores is not None:
        programs = [program for _, program in environment.running()]
        problems += slot_problems(programs, len(topology.members(WORKERS)), cores)
    return problems


def problems_of(env: str) -> list[str]:
    """Return everything that is wrong with an environment: topology, catalogue, applications, settings."""
    try:
        environment = named_environment(env)
        topology = environment.topology
        problems = setting_problems(environment, paths.repo_root() / "inventories" / env)
    except InvalidInputError as error:
        return list(error.problems)
    if topology.provider != "hetzner":
        problems += check_memory(topology, machine_memory())
    return problems


def validate(env: str) -> int:
    """Print the problems of an environment, one a line, to stderr; return 1 if there are any, else 0."""
    problems = problems_of(env)
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Run `millrace validate`."""
    parser = argparse.ArgumentParser(prog="millrace validate", description="Check topology and catalogue.")
    parser.add_argument("--env", default=paths.environment(), help="the environment (default: %(default)s)")
    env = parser.parse_args(argv).env
    status = validate(env)
    if status == 0:
        sys.stdout.write(f"topology and catalogue of {env}: valid\n")
    return status
