"""What the scenarios' playbooks call on the controller, rendered with the variables that all share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from rendering import load

from millrace import paths
from millrace.model.topology import load_topology

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = paths.repo_root()
SHARED = load(ROOT / ".config" / "molecule" / "config.yml")["provisioner"]["inventory"]["group_vars"]["all"]
PLAYBOOKS = sorted([*(ROOT / "ansible" / "molecule").glob("*.yml"), *ROOT.glob("roles/*/molecule/**/*.yml")])
COMMANDS = {"ansible.builtin.command", "ansible.builtin.shell"}
SUDO = "sudo -n --preserve-env=INCUS_DIR incus"


def commands(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any YAML
    """Return every command in a file of plays or tasks, with the name of its task."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if key in COMMANDS:
                yield value["name"], inside
            else:
                yield from commands(inside)
    elif isinstance(value, list):
        for item in value:
            yield from commands(item)


def words(command: Any) -> str:  # noqa: ANN401 - any YAML
    """Return what a task runs, apart from what it hands over on standard input."""
    if isinstance(command, dict):
        command = command.get("cmd") or command.get("argv")
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)


def rendered(text: str, **more: Any) -> Any:  # noqa: ANN401 - whatever it makes
    """Render a template with what all scenarios share, for an imaginary scenario."""
    variables = {**SHARED, "molecule_repository": str(ROOT), "__prefix": "molecule-x-", **more}
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def launch() -> str:
    """Return the command that makes a container."""
    found = dict(commands(load(ROOT / "ansible" / "molecule" / "create.yml")))
    return str(found["Launch the missing ones"]["argv"])


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_calls_the_client_without_the_prefix_that_it_may_need(path: Path) -> None:
    calls = {name: words(command) for name, command in commands(load(path))}
    bare = [name for name, call in calls.items() if re.search(r"(?<![\w./-])incus(?![\w./-])", call)]
    assert bare == []


def test_the_playbooks_that_make_and_remove_containers_call_the_client() -> None:
    calling = {
        str(path.relative_to(ROOT))
        for path in PLAYBOOKS
        if any("molecule_incus" in words(command) for _, command in commands(load(path)))
    }
    assert {"ansible/molecule/create.yml", "ansible/molecule/destroy.yml"} <= calling


@pytest.mark.parametrize(("given", "used"), [(None, "incus"), ("", "incus"), (SUDO, SUDO)])
def test_the_client_is_the_one_that_make_molecule_hands_over(
    monkeypatch: pytest.MonkeyPatch, given: str | None, used: str
) -> None:
    monkeypatch.delenv("MILLRACE_INCUS", raising=False)
    if given is not None:
        monkeypatch.setenv("MILLRACE_INCUS", given)
    argv = rendered(launch(), item={"name": "a-1", "memory": 512}, molecule_image="image")
    assert argv[: argv.index("launch")] == used.split()
    assert argv[argv.index("launch") + 1 :][:4] == ["--project", "default", "image", "molecule-x-a-1"]
    assert argv[-2:] == ["-c", "limits.memory=512MiB"]


@pytest.mark.parametrize("env", paths.environments())
def test_containers_are_on_the_bridge_of_the_topology(monkeypatch: pytest.MonkeyPatch, env: str) -> None:
    network = load_topology(ROOT / "inventories" / env / "topology.yml").network
    if network is None or network.bridge is None:
        pytest.skip("an environment without a bridge of this machine's")
    monkeypatch.setenv("ENV", env)
    argv = rendered(launch(), item={"name": "a-1"}, molecule_image="image")
    assert argv[-2:] == ["--network", network.bridge]


def test_without_env_the_bridge_is_that_of_the_default_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", paths.DEFAULT_ENVIRONMENT)
    chosen = rendered("{{ molecule_bridge }}")
    monkeypatch.delenv("ENV")
    assert rendered("{{ molecule_bridge }}") == chosen
