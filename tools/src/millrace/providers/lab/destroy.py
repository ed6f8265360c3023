"""Remove a lab: nodes, molecule's containers, project, bridge, storage pool, and the daemon if it is ours."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from millrace.console import flag, say
from millrace.model.current import current_environment
from millrace.paths import environment, repo_root, state_dir, state_root, vault_password_file
from millrace.providers import terraform
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.nodes import owner_id

if TYPE_CHECKING:
    from pathlib import Path

# What is a secret of the environment or opens its nodes stays for the next lab, unless PURGE=1.
REMAKEABLE = ("known_hosts", "ssh_config")


def molecule_containers(names: list[str], roles: list[str]) -> list[str]:
    """Return those of the default project's containers that the roles' molecule scenarios made."""
    prefixes = tuple(f"molecule-{role.replace('_', '-')}-" for role in roles)
    return sorted(name for name in names if name.startswith(prefixes))


def destroy_nodes(project: str, env: str, state: Path) -> bool:
    """Remove the environment's nodes and project; tell whether nothing of another owner kept the project."""
    tool = terraform.for_environment(env)
    if tool.home.exists():
        tool.init()
        if tool.nodes():
            tool.destroy()
    owner = owner_id(state)
    found = incus.instances(project)
    own = [instance.name for instance in found if instance.owner == owner]
    if own:
        incus.incus("delete", "--force", "--project", project, *own)
    foreign = [instance.name for instance in found if instance.owner != owner]
    if foreign:
        say(f"of another owner and left alone: {', '.join(foreign)}")
        return False
    if f"/1.0/projects/{project}" in incus.query("/1.0/projects"):
        incus.incus("project", "delete", project)
    return True


def forget(state: Path, *, purge: bool) -> None:
    """Remove the files that described the nodes, or with ``purge`` all the environment's state."""
    if purge:
        shutil.rmtree(state, ignore_errors=True)
        if not any(path.is_dir() for path in state_root().iterdir()):
            vault_password_file().unlink(missing_ok=True)
        return
    shutil.rmtree(state / "terraform", ignore_errors=True)
    for name in REMAKEABLE:
        (state / name).unlink(missing_ok=True)


def destroy_main(_argv: list[str]) -> int:
    """Remove everything of the lab but the caches, and with PURGE=1 its secrets too."""
    env = environment()
    network = current_environment().topology.network
    state = state_dir(env)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if daemon.binary() is None:
        say("there is no Incus on this machine, so there are no nodes")
    else:
        if not incus.running():
            say("starting the Incus daemon, which has to remove what is on its disk")
            daemon.start()
        alone = destroy_nodes(incus.project_name(env), env, state)
        roles = [path.name for path in (repo_root() / "roles").iterdir()]
        left = molecule_containers([instance.name for instance in incus.instances("default")], roles)
        if left:
            incus.incus("delete", "--force", "--project", "default", *left)
        if alone and network is not None and network.bridge is not None:
            daemon.take_down(daemon.Bridge(network.bridge, str(network.cidr), str(network.gateway)))
    forget(state, purge=flag("PURGE"))
    kept = "secrets removed" if flag("PURGE") else f"secrets kept in {state} (PURGE=1 removes them)"
    say(f"{env} is destroyed; image and downloads kept, {kept}")
    return 0
