"""The lab's nodes: bring reality, Terraform's state and the topology together; stop, start, remove."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from millrace.access import remote, ssh
from millrace.console import CommandError, MillraceError, flag, say
from millrace.model.current import choose, current_environment
from millrace.paths import environment, repo_root, state_dir
from millrace.providers import terraform
from millrace.providers.lab import image, incus

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


def open_environment() -> tuple[str, Topology, Path]:
    """Return the chosen environment's name, validated topology and state directory."""
    env = environment()
    topology = current_environment().topology
    if topology.provider != "lab" or topology.network is None or topology.network.bridge is None:
        msg = f"environment {env} has the provider {topology.provider}; only `lab` can be provisioned so far"
        raise MillraceError(msg)
    state = state_dir(env)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not incus.running():
        msg = "no Incus daemon answers; `make bootstrap` installs and starts it"
        raise MillraceError(msg)
    return env, topology, state


def owner_id(state: Path) -> str:
    """Return the id that marks this state directory's nodes; made once."""
    path = state / "owner-id"
    if not path.exists():
        path.write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


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
    owner = owner_id(state)
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


def provision() -> bool:
    """Make the nodes as the topology says; tell whether anything changed."""
    env, topology, state = open_environment()
    project = incus.project_name(env)
    bridge = topology.network.bridge if topology.network and topology.network.bridge else ""
    ensure_project(project, bridge)
    tool = terraform.for_environment(env)
    tool.set_variables(
        {
            "topology": str(repo_root() / "inventories" / env / "topology.yml"),
            "ssh_public_key": ssh.ensure_key(state),
            "owner": owner_id(state),
            "image": image.ensure(),
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
    changed = ssh.record(topology, state, project) or changed
    ssh.wait_reachable(topology, state)
    return changed


def image_main(_argv: list[str]) -> int:
    """Make the base image where it is missing."""
    open_environment()
    say(image.ensure())
    return 0


def provision_main(_argv: list[str]) -> int:
    """Run `make provision`."""
    changed = provision()
    env, topology, state = open_environment()
    done = "are as the topology says" if changed else "were already as the topology says; nothing changed"
    say(f"{len(topology.nodes)} nodes of {env} {done}")
    say(f"SSH: make ssh NODE={next(iter(topology.nodes))}, or ssh -F {state / 'ssh_config'} NODE")
    return 0


def ssh_main(argv: list[str]) -> NoReturn:
    """Become ssh to a node; further words are a command for it."""
    topology = current_environment().topology
    node = choose("NODE", argv[0] if argv else "", topology.nodes)
    remote.become(["ssh", "-F", str(remote.ssh_config()), node, *argv[1:]])


def down_main(_argv: list[str]) -> int:
    """Stop the running nodes cleanly and keep their data."""
    env, _, state = open_environment()
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
    say(
        f"{env} is stopped; `make start` starts it again with its data"
        if own
        else f"{env} has no nodes to stop; `make up` makes them"
    )
    return 0


def start_main(_argv: list[str]) -> int:
    """Start the nodes that exist."""
    env, topology, state = open_environment()
    project = incus.project_name(env)
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
    ssh.wait_reachable(topology, state)
    say(f"all {len(topology.nodes)} nodes of {env} answer over SSH")
    return 0
