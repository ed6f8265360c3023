"""What an environment's variables set that its topology cannot carry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from millrace import paths
from millrace.model import group_vars, replication
from millrace.model.joined import slot_problems
from millrace.yamlio import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from millrace.model.applications import Application
    from millrace.model.topology import Topology
    from millrace.model.validation import Environment

CONTROLLERS = "kafka"
MAX_ID = 2**31 - 1  # Kafka has 32 bits for a broker's id
WORKERS = "spark_workers"
WORKER_CORES = "spark_worker_cores"


def replication_problems(
    topology: Topology, inventory: Path, applications: Iterable[Application] = ()
) -> list[str]:
    """Return a problem for each number of copies that variables or topics set and the nodes cannot hold.

    `inventory` is the environment's folder. Raises InvalidInputError for a file that isn't valid YAML.
    """
    platform = sorted((paths.repo_root() / "ansible" / "defaults").glob("*.yml"))
    # In the order in which Ansible lets them win.
    loaded = [(path, load_yaml(path)) for path in platform] + group_vars.contents(inventory)
    return replication.problems(
        topology, replication.settings_in(loaded) | replication.topic_settings(applications)
    )


def worker_cores(inventory: Path) -> int | None:
    """Return the slots of a Spark worker that the environment in this folder sets, or the role's default.

    The largest where several files set it; None for a template, whose value is known to Ansible alone.
    Raises InvalidInputError for a file that isn't valid YAML.
    """
    default = paths.repo_root() / "roles" / "spark" / "defaults" / "main.yml"
    for loaded in (group_vars.contents(inventory), [(default, load_yaml(default))]):
        values = [
            content[WORKER_CORES]
            for _, content in loaded
            if isinstance(content, dict) and WORKER_CORES in content
        ]
        if values:
            numbers = [value for value in values if type(value) is int]
            return max(numbers) if len(numbers) == len(values) else None
    return None


def broker_id_problems(topology: Topology, inventory: Path) -> list[str]:
    """Return a problem for each broker whose name gives it no id of its own: the number at its end.

    None where the environment in this folder sets `kafka_hosts` itself, which may name ids.
    Raises InvalidInputError for a file that isn't valid YAML.
    """
    if any("kafka_hosts" in content for _, content in group_vars.contents(inventory)):
        return []
    problems = []
    owners: dict[int, str] = {}
    for node in topology.members(CONTROLLERS):
        found = re.search(r"\d+$", node.name)
        number = int(found[0]) if found else 0
        if not number:
            problems.append(
                f"nodes.{node.name}: a broker's name must end in a number above 0, which is its id in Kafka;"
                f" call it {node.name}-1 or the like"
            )
        elif number > MAX_ID:
            problems.append(f"nodes.{node.name}: the number at its end is its id in Kafka, at most {MAX_ID}")
        elif number in owners:
            problems.append(f"nodes.{node.name}: {owners[number]} has the id {number} in Kafka already")
        else:
            owners[number] = node.name
    return problems


def setting_problems(environment: Environment, inventory: Path) -> list[str]:
    """Return what is wrong with the variables that an environment sets, and what the topology can't carry.

    That is copies without brokers, slots without workers. `inventory` is the environment's folder. Raises
    InvalidInputError for a file that isn't valid YAML.
    """
    topology = environment.topology
    applications = environment.applications.values()
    groups = {str(one["group"]) for one in environment.services.values()}
    names = group_vars.known(paths.repo_root(), applications)
    problems = group_vars.problems(inventory, names, groups, topology.nodes)
    problems += replication_problems(topology, inventory, applications)
    place = f"inventories/{inventory.name}/topology.yml"
    problems += [f"{place}: {problem}" for problem in broker_id_problems(topology, inventory)]
    cores = worker_cores(inventory)
    if cores is not None:
        programs = [program for _, program in environment.running()]
        problems += slot_problems(programs, len(topology.members(WORKERS)), cores)
    return problems
