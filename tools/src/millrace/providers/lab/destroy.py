"""Remove a lab's nodes, project and bridge; the storage pool and the daemon if nothing else uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.console import say
from millrace.providers import terraform
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.nodes import bridge_of
from millrace.providers.owner import owner_id

if TYPE_CHECKING:
    from pathlib import Path

    from millrace.model.topology import Topology


def losses(topology: Topology, state: Path) -> list[str]:
    """Return what `destroy` would remove. Starts nothing: of a daemon that is down, the topology tells."""
    names = set(topology.nodes)
    project = incus.project_name(topology.environment)
    if (state / "owner-id").exists() and daemon.binary() is not None and incus.running():
        owner = owner_id(state)
        names |= {instance.name for instance in incus.instances(project) if instance.owner == owner}
    return [
        f"the nodes {', '.join(sorted(names))} with all their data (Incus project {project})",
        f"the bridge {bridge_of(topology).name}",
        f"the storage pool {incus.POOL} and the running Incus daemon, if nothing else uses them",
    ]


def destroy(topology: Topology, state: Path) -> None:
    """Remove what is of the environment, and what no other environment uses."""
    if daemon.binary() is None:
        say("there is no Incus on this machine, so there are no nodes")
        return
    if not incus.running():
        say("starting the Incus daemon, which has to remove what is on its disk")
        daemon.start()
    if destroy_nodes(topology, state):
        daemon.take_down(bridge_of(topology))


def destroy_nodes(topology: Topology, state: Path) -> bool:
    """Remove the environment's nodes and project; tell whether nothing of another owner kept the project."""
    project = incus.project_name(topology.environment)
    tool = terraform.for_environment(topology.environment, topology.provider)
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
