"""The lab's nodes: reconcile reality, Terraform's state and the topology; stop and start."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.access import ssh
from millrace.console import CommandError, MillraceError, flag, say
from millrace.paths import repo_root
from millrace.providers import terraform
from millrace.providers.lab import daemon, image, incus
from millrace.providers.owner import make_owner_id, owner_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from millrace.model.topology import Topology

STARTED_WITHIN = 60  # seconds


@dataclass(frozen=True)
class Differences:
    """What has to be put right before Terraform may look at the world (names of nodes, sorted)."""

    foreign: list[str]  # belong to another owner
    vanished: list[str]  # Terraform knows them, the daemon doesn't
    stopped: list[str]
    frozen: list[str]
    unlisted: list[str]  # ours, but neither in the topology nor in Terraform's state


def compare(
    topology: Iterable[str], in_state: set[str], instances: Iterable[incus.Instance], owner: str
) -> Differences:
    """Compare the topology's nodes, those in Terraform's state and the project's instances."""
    wanted = set(topology)
    found = list(instances)
    own = [instance for instance in found if instance.owner == owner]
    return Differences(
        foreign=sorted(instance.name for instance in found if instance.owner != owner),
        vanished=sorted(in_state - {instance.name for instance in own}),
        stopped=sorted(i.name for i in own if i.name in wanted and i.status not in {"Running", "Frozen"}),
        frozen=sorted(i.name for i in own if i.name in wanted and i.status == "Frozen"),
        unlisted=sorted(i.name for i in own if i.name not in wanted | in_state),
    )


def refusal(project: str, foreign: list[str], state: Path) -> str:
    """Return the message for nodes that belong to another state directory."""
    return (
        f"{', '.join(foreign)} (Incus project {project}) belong to another owner than the one in {state}.\n"
        "Another user or a lost state directory made them. Restore that directory (XDG_STATE_HOME), or let\n"
        "RECREATE=1 delete these nodes with their data and make them anew."
    )


def require_daemon() -> None:
    """Raise MillraceError where no daemon answers."""
    if not incus.running():
        msg = "no Incus daemon answers; `make bootstrap` installs and starts it"
        raise MillraceError(msg)


def bridge_of(topology: Topology) -> daemon.Bridge:
    """Return the environment's bridge. Raises MillraceError where the topology names none."""
    network = topology.network
    if network is None or network.bridge is None:
        msg = "network.bridge: is missing; the provider lab makes a bridge of that name"
        raise MillraceError(msg)
    return daemon.Bridge(network.bridge, str(network.cidr), str(network.gateway))


def ensure_project(project: str, bridge: str) -> None:
    """Make the environment's Incus project, with a default profile that puts nodes on our bridge and pool."""
    if f"/1.0/projects/{project}" not in incus.query("/1.0/projects"):
        incus.incus("project", "create", project, "--config", "features.images=false")
    devices = {
        "root": {"type": "disk", "path": "/", "pool": incus.POOL},
        "eth0": {"type": "nic", "name": "eth0", "network": bridge},
    }
    if incus.query(f"/1.0/profiles/default?project={project}")["devices"] != devices:
        profile = json.dumps({"description": "A node of Millrace", "config": {}, "devices": devices})
        incus.incus("profile", "edit", "default", "--project", project, stdin=profile)


def start_nodes(project: str, names: list[str]) -> None:
    """Start nodes; also good where a daemon that has just come back is starting the same ones by itself."""
    for name in names:
        # Nodes outlive the image that they were made from.
        file = f"{name}{image.NETWORK_FILE}"
        owner = ("--uid", "0", "--gid", "0", "--mode", "0644")
        incus.incus("file", "push", "--project", project, *owner, "-", file, stdin=image.NETWORK)
    try:
        incus.incus("start", "--project", project, *names)
    except CommandError:
        end = time.monotonic() + STARTED_WITHIN
        while any(i.status != "Running" for i in incus.instances(project) if i.name in names):
            if time.monotonic() > end:
                raise
            time.sleep(1)


def reconcile(project: str, topology: Topology, tool: terraform.Terraform, state: Path) -> bool:
    """Put right what Terraform cannot see; tell whether anything had to be."""
    owner = make_owner_id(state)
    found = compare(topology.nodes, tool.nodes(), incus.instances(project), owner)
    if found.foreign:
        if not flag("RECREATE"):
            raise MillraceError(refusal(project, found.foreign, state))
        say(f"deleting nodes of another owner (RECREATE=1): {', '.join(found.foreign)}")
        incus.incus("delete", "--force", "--project", project, *found.foreign)
    for node in found.vanished:
        say(f"{node} is gone behind Terraform's back and will be made again if the topology has it")
        tool.forget(node)
    if found.frozen:
        say(f"resuming {', '.join(found.frozen)}")
        incus.incus("resume", "--project", project, *found.frozen)
    if found.stopped:
        say(f"starting {', '.join(found.stopped)}")
        start_nodes(project, found.stopped)
    if found.unlisted:
        say(f"not in the topology and left alone (`make destroy` removes them): {', '.join(found.unlisted)}")
    return bool(found.foreign or found.vanished or found.frozen or found.stopped)


def image_for(topology: Topology, state: Path) -> str:
    """Return the image of new nodes. Without any, no mirror is asked: what there is stays as it was made."""
    instances = incus.instances(incus.project_name(topology.environment))
    own = {instance.name for instance in instances if instance.owner == owner_id(state)}
    there = image.imported()
    return there[0] if there and own.issuperset(topology.nodes) else image.ensure()


def apply(topology: Topology, state: Path) -> bool:
    """Make the nodes as the topology says; tell whether anything changed."""
    env = topology.environment
    project = incus.project_name(env)
    ensure_project(project, bridge_of(topology).name)
    tool = terraform.for_environment(env, topology.provider)
    tool.set_variables(
        {
            "topology": str(repo_root() / "inventories" / env / "topology.yml"),
            "ssh_public_key": ssh.ensure_key(state),
            "owner": make_owner_id(state),
            "image": image_for(topology, state),
            "sudo": incus.needs_sudo(),
        }
    )
    tool.init()
    changed = reconcile(project, topology, tool, state)
    planned = tool.plan()
    if planned is not None:
        for address, action in planned.items():
            say(f"  {action:<8} {address}")
        tool.apply()
        changed = True
    return changed


def host_key(project: str, node: str) -> str:
    """Read a node's host key through the daemon: a trusted way that needs no first contact over SSH.

    Not with `incus exec … cat`: tried, about 4 % of parallel calls end well without the output (Incus 6.0.4).
    """
    return incus.incus("file", "pull", "--project", project, f"{node}/etc/ssh/ssh_host_ed25519_key.pub", "-")


def host_keys(topology: Topology) -> dict[str, str]:
    """Return each node's public host key line by name."""
    project = incus.project_name(topology.environment)
    names = list(topology.nodes)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(names, pool.map(lambda node: host_key(project, node), names), strict=True))


def stop(env: str, state: Path) -> bool:
    """Stop the running nodes cleanly and keep their data; tell whether there are any of ours."""
    project = incus.project_name(env)
    owner = owner_id(state)
    found = incus.instances(project)
    own = [instance for instance in found if instance.owner == owner]
    names = [instance.name for instance in own if instance.status != "Stopped"]
    if names:
        say(f"stopping {', '.join(names)}")
        incus.incus("stop", "--project", project, "--timeout", "120", *names)
    foreign = [instance.name for instance in found if instance.owner != owner]
    if foreign:
        say(f"of another owner and left alone: {', '.join(foreign)}")
    return bool(own)


def start(topology: Topology, state: Path) -> None:
    """Start the nodes that exist."""
    project = incus.project_name(topology.environment)
    instances = incus.instances(project)
    found = compare(topology.nodes, set(), instances, owner_id(state))
    if found.foreign:
        raise MillraceError(refusal(project, found.foreign, state))
    missing = set(topology.nodes) - {instance.name for instance in instances}
    if missing:
        msg = f"{', '.join(sorted(missing))} do not exist; `make up` makes them"
        raise MillraceError(msg)
    if found.frozen:
        incus.incus("resume", "--project", project, *found.frozen)
    if found.stopped:
        say(f"starting {', '.join(found.stopped)}")
        start_nodes(project, found.stopped)
