"""Renders what roles write, with Ansible's own variables and template engine, for the hosts that run it.

The plays of site.yml say which hosts run a role; roles and plays that include another role pass it variables.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from unittest import mock

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from millrace import paths
from millrace.model.applications import load_applications
from millrace.model.secrets import load_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = paths.repo_root()
SITE = ROOT / "ansible" / "playbooks" / "site.yml"
# What the nodes themselves would tell.
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "13",
    "memtotal_mb": 2048,
    "service_mgr": "systemd",
    "virtualization_role": "guest",
    "virtualization_type": "container",
}
_NESTED = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers")


@dataclass(frozen=True)
class Use:
    """One use of a role: the pattern of its hosts, its files of tasks, variables (the strongest last)."""

    role: str
    hosts: str
    files: tuple[Path, ...]
    defaults: tuple[dict[str, Any], ...]
    strong: tuple[Any, ...]
    path: str

    def writes(self, template: str) -> bool:
        """Tell whether the tasks name a template, without its ending: some put that together in a loop."""
        return any(template in path.read_text(encoding="utf-8") for path in self.files)


@dataclass
class Environment:
    """An environment's hosts with their variables, as Ansible sees them."""

    loader: DataLoader
    inventory: InventoryManager
    manager: VariableManager
    cache: dict[str, dict[str, Any]] = field(default_factory=dict)

    def variables(self, host: str) -> dict[str, Any]:
        """Return the variables of a host, with made-up facts and secrets."""
        if host not in self.cache:
            found = self.manager.get_vars(host=self.inventory.get_host(host))
            names = load_kinds(str(found["millrace_environment"]))
            extra = {
                "ansible_facts": FACTS,
                "ansible_managed": "Written by Ansible",
                "ansible_check_mode": False,
                "playbook_dir": str(SITE.parent),
                "millrace_secrets": {name: f"secret-of-{name}" for name in names},
            }
            self.cache[host] = {**found, **extra}
        return self.cache[host]

    def render(self, use: Use, host: str, text: str, extra: dict[str, Any]) -> str:
        """Render a template as a task of the role would; an undefined variable is an error."""
        variables: dict[str, Any] = {}
        for layer in use.defaults:
            variables |= layer
        variables |= self.variables(host)
        variables["role_path"] = use.path
        for layer in (*use.strong, extra):
            # A layer may be a template of its own: vars: "{{ some_mapping }}".
            variables |= layer if isinstance(layer, dict) else self._template(layer, variables)
        return str(self._template(trust_as_template(text), variables))

    def _template(self, text: str, variables: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever it makes
        return Templar(loader=self.loader, variables=variables).template(text)


def load(path: Path) -> Any:  # noqa: ANN401 - any YAML
    """Read YAML as Ansible does, with the templates in it trusted; None where there is no file."""
    if not path.exists():
        return None
    return DataLoader().load_from_file(str(path), cache="none", trusted_as_template=True)


@lru_cache
def environment(env: str) -> Environment:
    """Load the inventory of an environment without its vault, and the variables beside the playbooks."""
    loader = DataLoader()
    loader.set_basedir(str(SITE.parent))
    with mock.patch.dict(os.environ, {"XDG_STATE_HOME": "/nonexistent"}):
        inventory = InventoryManager(loader=loader, sources=[str(ROOT / "inventories" / env)])
    manager = VariableManager(loader=loader, inventory=inventory)
    HostVars(inventory, manager, loader)
    return Environment(loader, inventory, manager)


def templates() -> list[Path]:
    """Return all roles' templates, sorted."""
    return sorted((ROOT / "roles").glob("*/templates/**/*.j2"))


def contents() -> dict[str, tuple[Path, str, str]]:
    """Return what tasks write without a template file: task -> (file of tasks, destination, template)."""
    found = {}
    for role in sorted((ROOT / "roles").iterdir()):
        for path in sorted(role.glob("tasks/*.yml")):
            for task in _tasks(load(path)):
                copy = task.get("ansible.builtin.copy")
                if isinstance(copy, dict) and "{{" in str(copy.get("content", "")):
                    name = f"{role.name}/{path.name}: {task['name']}"
                    found[name] = (path, str(copy["dest"]), copy["content"])
    return found


@lru_cache
def uses() -> tuple[Use, ...]:
    """Return every use of a role that site.yml leads to."""
    found: list[Use] = []
    for play in _plays(SITE):
        strong = (play.get("vars", {}),)
        for entry in play.get("roles", []):
            given = {
                key: value for key, value in entry.items() if key not in {"role", "tags", "when", "vars"}
            }
            layers = (*strong, {**given, **entry.get("vars", {})})
            found += _use(entry["role"], "main", play["hosts"], (), layers)
        for name, tasks, variables in _included([play]):
            found += _use(name, tasks, play["hosts"], (), (*strong, variables))
        found += _programs(play)
    return tuple(found)


def _programs(play: dict[str, Any]) -> Iterator[Use]:
    """Yield the uses of roles by the play's loop over the services of all applications, on all hosts."""
    for task in _tasks(play.get("tasks")):
        if task.get("loop") != "{{ millrace_programs }}":
            continue
        (block,) = load(SITE.parent / task["ansible.builtin.include_tasks"]["file"])
        for application in load_applications(ROOT / "services").values():
            for program in map(application.plain, application.programs.values()):
                variable = {"__program": program}
                for inner in block["block"]:
                    role = inner.get("ansible.builtin.include_role")
                    if role and inner["when"] == f"__program.kind == '{program['kind']}'":
                        layers = (variable, block["vars"], inner["vars"])
                        yield from _use(
                            role["name"], role.get("tasks_from", "main"), play["hosts"], (), layers
                        )


def _plays(path: Path) -> Iterator[dict[str, Any]]:
    for play in load(path):
        imported = play.get("ansible.builtin.import_playbook")
        if imported:
            yield from _plays(path.parent / imported)
        else:
            yield play


def _use(
    role: str, entry: str, hosts: str, defaults: tuple[dict[str, Any], ...], strong: tuple[Any, ...]
) -> Iterator[Use]:
    folder = ROOT / "roles" / role
    if not folder.is_dir():
        return
    defaults = (*defaults, load(folder / "defaults" / "main.yml") or {})
    inner = (load(folder / "vars" / "main.yml") or {}, *strong)
    files = _reached(folder / "tasks", f"{entry}.yml")
    yield Use(role, hosts, files, defaults, inner, str(folder))
    for path in files:
        for name, tasks, variables in _included(load(path)):
            yield from _use(name, tasks, hosts, defaults, (*inner, variables))


def _reached(folder: Path, name: str) -> tuple[Path, ...]:
    """Return a file of tasks and those that it imports or includes."""
    found = [folder / name]
    for task in _tasks(load(folder / name)):
        for key in ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks"):
            if key in task:
                called = task[key] if isinstance(task[key], str) else task[key]["file"]
                found += _reached(folder, called)
    return tuple(dict.fromkeys(found))


def _included(tasks: Any) -> Iterator[tuple[str, str, Any]]:  # noqa: ANN401 - any YAML
    for task in _tasks(tasks):
        for key in ("ansible.builtin.include_role", "ansible.builtin.import_role"):
            if key in task:
                yield task[key]["name"], task[key].get("tasks_from", "main"), task.get("vars", {})


def _tasks(tasks: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any YAML
    for task in tasks or []:
        yield task
        for key in _NESTED:
            yield from _tasks(task.get(key))
