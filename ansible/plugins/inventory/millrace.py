"""The inventory plugin: makes hosts, groups and their variables from an environment's topology."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

from millrace import paths, system
from millrace.model import replication
from millrace.model.kafka import TESTS
from millrace.model.login import USER
from millrace.model.validation import load_environment
from millrace.model.variables import setting_problems
from millrace.providers import contract
from millrace.yamlio import InvalidInputError, load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

    from millrace.model.applications import Database
    from millrace.model.catalogue import Catalogue
    from millrace.model.topology import Node, Topology
    from millrace.model.validation import Environment

DOCUMENTATION = """
name: millrace
short_description: Inventory from inventories/<env>/topology.yml
description:
  - Validates topology, catalogue, applications and what variables ask of them, then makes a host of each node
    and a group of each of the catalogue's.
  - Gives every host the services, what the applications declare, the versions, the secrets (vault.yml in the
    state directory) and the variables of ansible/defaults; those of inventories/<env>/group_vars win.
"""

# The group of all nodes that run something of an application.
APPLICATIONS = "applications"
# Where there is no disk yet: the role refuses it.
NOT_PROVISIONED = "/dev/disk/by-id/not-provisioned"


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc] # Ansible has no types
    """What Ansible looks for in this file."""

    NAME = "millrace"

    def verify_file(self, path: str) -> bool:
        """Accept inventories/<env>/topology.yml and nothing else."""
        return Path(path).name == "topology.yml" and bool(super().verify_file(path))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:  # noqa: FBT001, FBT002 - Ansible's signature
        """Fill the inventory; every mistake in the files is told at once."""
        super().parse(inventory, loader, path, cache)
        root = paths.repo_root()
        try:
            environment = load_environment(Path(path), root)
            # The role would say it too, but only after other roles have changed all nodes.
            problems = setting_problems(environment, Path(path).parent)
            versions = load_yaml(root / "ansible" / "versions.yml")
        except InvalidInputError as error:
            raise _refusal(path, error.problems) from error
        if problems:
            raise _refusal(path, problems)
        topology = environment.topology
        state = paths.state_dir(topology.environment)
        shared = {
            "ansible_user": USER,
            "ansible_ssh_common_args": f"-F {shlex.quote(str(state / 'ssh_config'))}",
            "millrace_environment": topology.environment,
            "millrace_domain": topology.domain,
            "millrace_operator_sources": list(topology.operator_sources),
            "millrace_nodes": _nodes(topology),
            "millrace_disposable": topology.disposable,
            "millrace_services": environment.services,
            **declared(environment),
            "millrace_versions": versions,
            "millrace_security_archive": _security_archive(),
            "millrace_state_dir": str(state),
            "millrace_cache_dir": str(paths.cache_dir()),
            "millrace_secrets": self._secrets(state / "vault.yml"),
        }
        # An environment's own group_vars win over all of them.
        defaults = replication.defaults(topology) | self._defaults(root / "ansible" / "defaults")
        for key, value in {**defaults, **shared}.items():
            inventory.set_variable("all", key, value)
        # Also those without nodes here: `groups['kafka']` is then an empty list.
        groups = {str(service["group"]) for service in environment.services.values()} - {"all"}
        for group in sorted(groups | environment.catalogue.groups):
            inventory.add_group(group)
        inventory.add_group(APPLICATIONS)
        self._add_hosts(environment, {program["group"] for program in environment.programs()})

    def _add_hosts(self, environment: Environment, deployed: set[str]) -> None:
        topology = environment.topology
        made = contract.stored(paths.state_dir(topology.environment))["nodes"]
        for node in topology.nodes.values():
            self.inventory.add_host(node.name)
            for group in node.groups:
                self.inventory.add_child(group, node.name)
                if group in deployed:
                    self.inventory.add_child(APPLICATIONS, node.name)
            own = {
                "ansible_host": node.address,
                "millrace_address": node.address,
                "millrace_memory": node.memory,
                "millrace_cores": node.cores,
                "millrace_data": _data(node, environment.catalogue, made.get(node.name, {}).get("data", {})),
            }
            for key, value in own.items():
                self.inventory.set_variable(node.name, key, value)

    def _defaults(self, folder: Path) -> dict[str, object]:
        """Return the platform's variables, whose texts are templates, as those of group_vars are."""
        found: dict[str, object] = {}
        for path in sorted(folder.glob("*.yml")):
            loaded = self.loader.load_from_file(str(path), cache="none", trusted_as_template=True)
            if twice := sorted(found.keys() & loaded.keys()):
                message = f"{path}: {', '.join(twice)} stands in another file of {folder.name}/ too"
                raise AnsibleParserError(message)
            found |= loaded
        return found

    def _secrets(self, vault: Path) -> dict[str, str]:
        """Return the environment's secrets; none before `millrace secrets ensure` has made them."""
        if not vault.exists():
            return {}
        try:
            secrets = self.loader.load_from_file(str(vault), cache="none")
        except AnsibleError as error:
            message = f"{vault}: can't be read with the password in {paths.vault_password_file()}: {error}"
            raise AnsibleParserError(message) from error
        return dict(secrets)


def _security_archive() -> str:
    """Return the URI of Debian's security archive that this machine uses, empty where it uses none."""
    return system.security_archive(system.read_apt_sources()) or ""


def _refusal(path: str, problems: Iterable[str]) -> AnsibleParserError:
    return AnsibleParserError(f"{path}:\n" + "\n".join(f"  {problem}" for problem in problems))


def _data(node: Node, catalogue: Catalogue, devices: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a node's data disks as role disks wants them, from the devices that Terraform gave."""
    return [
        {
            "name": name,
            "device": devices.get(name, NOT_PROVISIONED),
            "path": catalogue.data[name].path,
            "user": catalogue.data[name].user,
        }
        for name in node.data
    ]


def _nodes(topology: Topology) -> dict[str, dict[str, object]]:
    return {
        node.name: {
            "address": node.address,
            "groups": list(node.groups),
            "fqdn": f"{node.name}.{topology.domain}",
        }
        for node in topology.nodes.values()
    }


def declared(environment: Environment) -> dict[str, object]:
    """Return what the applications declare, in the shapes that the roles take, with names of secrets."""
    applications = environment.applications.values()
    databases = [database for application in applications for database in application.databases.values()]
    disposable = environment.topology.disposable
    return {
        "millrace_programs": environment.programs(),
        "millrace_kafka_topics": [topic.plain() for one in applications for topic in one.topics],
        "millrace_kafka_accounts": [
            {"name": name, "secret": secret}
            for application in applications
            for name, secret in application.accounts.items()
        ],
        # The tests' account exists where all nodes are disposable.
        "millrace_kafka_acls": [
            acl.plain()
            for application in applications
            for acl in application.acls
            if disposable or acl.user != TESTS
        ],
        "millrace_database_accounts": [
            {"name": name, "secret": secret}
            for database in databases
            for name, secret in database.accounts.items()
        ],
        "millrace_databases": [_database(database) for database in databases],
        "millrace_hdfs_directories": [
            directory.plain() for application in applications for directory in application.directories
        ],
    }


def _database(database: Database) -> dict[str, object]:
    found: dict[str, object] = {
        "name": database.name,
        "owner": database.owner,
        # Who may connect; nobody else may.
        "accounts": [name for name in database.accounts if name != database.owner],
        "extensions": list(database.extensions),
    }
    paths_ = {"migrations": database.migrations, "community_script": database.community_script}
    return found | {key: path for key, path in paths_.items() if path}
