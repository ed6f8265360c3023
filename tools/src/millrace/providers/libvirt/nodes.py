"""An environment's virtual machines: reconcile libvirt, Terraform's state and the topology; stop, start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.access import ssh
from millrace.console import CommandError, MillraceError, say
from millrace.model.validation import check_memory, machine_memory
from millrace.paths import repo_root
from millrace.providers import contract, data_disks, host_keys, owner, terraform
from millrace.providers.libvirt import image, leftovers, virsh

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from millrace.model.topology import Topology

STOPPED_WITHIN = 300  # seconds; without KVM a clean shutdown takes minutes
POOLS = "/var/lib/libvirt/millrace"
# What there was before an apply that has not ended well.
NOTE = "before-apply.json"
# What provider 0.8.3 says where it gets the end of a cloud-init disk too early, which it reads back.
SHORT_READ = "error while retrieving remote ISO"
TRIES = 3
# What depends on one of these goes with it.
ALL_BUT_DATA = ("module.node", "libvirt_network.this", "libvirt_volume.boot", "libvirt_volume.image")


def prefix(env: str) -> str:
    """Return what the names of an environment's domains, network and pool begin with."""
    return f"millrace-{env}"


def domain(env: str, node: str) -> str:
    """Return the name of a node's domain."""
    return f"{prefix(env)}-{node}"


@dataclass(frozen=True)
class Nodes:
    """The topology's nodes as libvirt has them (names of nodes, sorted)."""

    missing: list[str]
    foreign: list[str]  # of our names, and another owner's
    stopped: list[str]
    paused: list[str]


def sort(env: str, topology: Iterable[str], found: Iterable[virsh.Domain], owner_id: str) -> Nodes:
    """Tell how the topology's nodes stand, from libvirt's domains and the owner's id."""
    domains = {one.name.removeprefix(f"{prefix(env)}-"): one for one in found}
    wanted = sorted(topology)
    own = {
        name: domains[name].state for name in wanted if name in domains and domains[name].owner == owner_id
    }
    return Nodes(
        missing=[name for name in wanted if name not in domains],
        foreign=[name for name in wanted if name in domains and name not in own],
        stopped=[name for name, state in own.items() if state in {"shut off", "crashed"}],
        paused=[name for name, state in own.items() if state == "paused"],
    )


def _terraform(env: str) -> terraform.Terraform:
    """Return Terraform that does not look at what there is by itself: `reconcile` does.

    While provider 0.8.3 looks at a cloud-init disk, it sometimes reads it short, or hangs (both seen).
    """
    return terraform.for_environment(env, "libvirt", refreshes=False)


def require_daemon() -> None:
    """Raise MillraceError where no daemon answers."""
    if not virsh.running():
        silent = "libvirt's daemon does not answer; `make bootstrap` installs and starts it"
        raise MillraceError(silent if virsh.member() else virsh.NO_MEMBER)


def existing_data(resources: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return the data disks in a state (the resources of `terraform show -json`): GiB by NODE/DISK."""
    return {
        str(resource["index"]): int(resource["values"]["size"]) >> 30
        for resource in resources
        if (resource["type"], resource["name"]) == ("libvirt_volume", "data")
    }


def given(topology: Topology, state: Path) -> dict[str, Any]:
    """Return the inputs of the Terraform root that cost nothing; makes keys and owner id where missing."""
    env = topology.environment
    return {
        "topology": str(repo_root() / "inventories" / env / "topology.yml"),
        "ssh_public_key": ssh.ensure_key(state),
        "host_keys": host_keys.ensure(topology, state),
        "owner": owner.make_owner_id(state),
        "pool": f"{POOLS}/{env}",
    }


def image_given(resources: Iterable[dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs for the image: those of `before`, the last apply, where its volumes are there.

    An environment keeps the image that it began with, so no mirror is asked and nothing is read for it.
    """
    there = {one["name"] for one in resources if one["type"] == "libvirt_volume"}
    if {"image", "boot"} <= there and {"image", "boot"} <= before.keys():
        return {name: before[name] for name in ("image", "boot")}
    made = image.ensure()
    boot = {"kernel": str(made.kernel), "initrd": str(made.initrd), "cmdline": image.CMDLINE}
    return {"image": str(made.root), "boot": boot}


def variables(topology: Topology, state: Path, tool: terraform.Terraform) -> dict[str, Any]:
    """Return the inputs of the Terraform root; makes the image where the environment needs one."""
    resources = tool.resources()
    kvm = virsh.kvm()
    say(f"nodes run {'with KVM' if kvm else 'without hardware virtualisation (TCG): about ten times slower'}")
    return {
        **given(topology, state),
        **image_given(resources, tool.variables()),
        "acceleration": "kvm" if kvm else "qemu",
        "existing_data": data_disks.checked(existing_data(resources)),
        "release_data": data_disks.released(),
    }


def apply(topology: Topology, state: Path) -> bool:
    """Make the nodes as the topology says; tell whether anything changed."""
    env = topology.environment
    # The bootstrap has looked too, but reads a topology without PyYAML and not in each way of writing it.
    if problems := check_memory(topology, machine_memory()):
        raise MillraceError("\n".join(problems))
    tool = _terraform(env)
    tool.init()
    note = tool.home / NOTE
    changed = False
    for tries_left in reversed(range(TRIES)):
        changed = reconcile(topology, state, tool) or changed
        tool.set_variables(variables(topology, state, tool))
        planned = tool.plan()
        if planned is None:
            break
        for address, action in planned.items():
            say(f"  {action:<8} {address}")
        changed = True
        leftovers.remember(note, leftovers.in_libvirt(prefix(env), owner.owner_id(state)))
        try:
            tool.apply()
        except CommandError as error:
            if SHORT_READ not in error.output or not tries_left:
                raise
            say("the provider read a cloud-init disk short; once more")
        else:
            break
    note.unlink(missing_ok=True)
    contract.store(state, tool.outputs())
    return start(topology, state) or changed


def reconcile(topology: Topology, state: Path, tool: terraform.Terraform) -> bool:
    """Put right what Terraform does not see; tell whether anything had to be.

    Raises MillraceError where something of our names is not ours.
    """
    env = topology.environment
    name, note, own = prefix(env), tool.home / NOTE, owner.owner_id(state)
    if foreign := sort(env, topology.nodes, virsh.domains(f"{name}-"), own).foreign:
        raise MillraceError(refusal(env, foreign, state))
    resources = tool.resources()
    known = leftovers.in_state(resources)
    if name in known.pools:  # of a pool that is not active, all volumes would look as if they were gone
        virsh.start_pool(name)
    found = leftovers.in_libvirt(name, own)
    unfinished = leftovers.unfinished(note, found, known)
    if refused := leftovers.refusals(found.without(known, unfinished), name):
        raise MillraceError("\n".join(refused))
    leftovers.remove(unfinished, name)
    gone = leftovers.vanished(resources, found)
    for address in gone:
        say(f"gone behind Terraform's back, to be made anew: {address}")
    if gone:
        tool.forget_resources(gone)
    return bool(gone) or unfinished != leftovers.Things()


def refusal(env: str, foreign: list[str], state: Path) -> str:
    """Return the message for domains that belong to another state directory."""
    names = ", ".join(domain(env, node) for node in foreign)
    return (
        f"{names} belong to another owner than the one in {state}.\n"
        "Another user or a lost state directory made them. Restore that directory (XDG_STATE_HOME), or\n"
        f"remove them with `{virsh.COMMAND} destroy` and `{virsh.COMMAND} undefine`."
    )


def start(topology: Topology, state: Path) -> bool:
    """Start the nodes that exist; tell whether any had to be."""
    env = topology.environment
    found = sort(env, topology.nodes, virsh.domains(f"{prefix(env)}-"), owner.owner_id(state))
    if found.missing:
        names = ", ".join(domain(env, node) for node in found.missing)
        message = f"{names} do not exist; `make up` makes them"
        raise MillraceError(message)
    if found.foreign:
        raise MillraceError(refusal(env, found.foreign, state))
    for node in (*found.paused, *found.stopped):
        say(f"starting {node}")
        virsh.virsh("resume" if node in found.paused else "start", domain(env, node))
    return bool(found.paused or found.stopped)


def stop(env: str, state: Path) -> bool:
    """Shut the running nodes down and keep their data; tell whether there are any of ours."""
    own = [one for one in virsh.domains(f"{prefix(env)}-") if one.owner == owner.owner_id(state)]
    for one in own:
        if one.state == "running":
            say(f"stopping {one.name}")
            virsh.virsh("shutdown", one.name)
    end = time.monotonic() + STOPPED_WITHIN
    while running := [one.name for one in own if virsh.virsh("domstate", one.name).strip() == "running"]:
        if time.monotonic() > end:
            message = (
                f"{', '.join(running)} did not shut down within {STOPPED_WITHIN} s;"
                f" `{virsh.COMMAND} destroy` ends it"
            )
            raise MillraceError(message)
        time.sleep(1)
    return bool(own)


def losses(topology: Topology) -> list[str]:
    """Return what `destroy` would remove."""
    env = topology.environment
    tool = _terraform(env)
    if not tool.home.exists():
        return []
    tool.init()
    if not (resources := tool.resources()):
        return []
    kinds = {resource["type"] for resource in resources}
    names = ", ".join(sorted(tool.nodes()))
    return [
        *([f"the virtual machines ({names}) with their root disks"] if names else []),
        *([f"the network {prefix(env)}"] if "libvirt_network" in kinds else []),
        *data_disks.losses(topology, existing_data(resources)),
    ]


def destroy(topology: Topology, state: Path) -> None:
    """Remove nodes and network, and the data disks that may go."""
    env = topology.environment
    tool = _terraform(env)
    if not tool.home.exists():
        return
    tool.init()
    # What an apply that was killed left behind goes too.
    reconcile(topology, state, tool)
    if resources := tool.resources():
        disks = existing_data(resources)
        # Which of them go is decided here; the plan has nothing to say about it.
        tool.change_variables({**given(topology, state), "existing_data": {}, "release_data": []})
        tool.destroy(*(ALL_BUT_DATA if data_disks.kept(topology, disks) else ()))
    for path in (tool.home / NOTE, state / contract.FILE):
        path.unlink(missing_ok=True)
    host_keys.forget(state)
