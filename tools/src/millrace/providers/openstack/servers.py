"""An environment's servers: make, change, start, stop and remove them, all of it by Terraform."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from millrace.access import ssh
from millrace.console import MillraceError, say
from millrace.paths import repo_root
from millrace.providers import contract, data_disks, host_keys, terraform
from millrace.providers.openstack import clouds
from millrace.providers.owner import make_owner_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from millrace.model.openstack import OpenStack
    from millrace.model.topology import Topology

# RFC 5737: examples, from which nobody comes.
DOCUMENTATION = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
INSTANCE = "openstack_compute_instance_v2"
# All but the data volumes; what depends on one of these goes with it.
ALL_BUT_DATA = (
    "module.node",
    "openstack_compute_keypair_v2.this",
    "openstack_compute_servergroup_v2.spread",
    "openstack_networking_network_v2.this",
    "openstack_networking_router_v2.this",
    "openstack_networking_secgroup_v2.inside",
    "openstack_networking_secgroup_v2.outside",
)


def settings(topology: Topology) -> OpenStack:
    """Return the topology's section. Raises MillraceError where it has none."""
    if topology.openstack is None:
        message = "openstack: is missing; it names cloud, external_network, image and flavors"
        raise MillraceError(message)
    return topology.openstack


def require_ready(topology: Topology) -> None:
    """Raise MillraceError with a line for each thing without which the cloud can't be asked."""
    file = f"inventories/{topology.environment}/topology.yml"
    problems = [
        f"{file}: operator_sources: {source} is a range for documentation; name the public addresses that"
        " SSH comes from"
        for source in topology.operator_sources
        if any(IPv4Network(source).overlaps(one) for one in DOCUMENTATION)
    ]
    if problem := clouds.problem() or clouds.entry_problem(settings(topology).cloud):
        problems.append(problem)
    if problems:
        raise MillraceError("\n".join(problems))


def existing_data(resources: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the data disks in a state (the resources of `terraform show -json`): GiB by NODE/DISK."""
    return {
        str(resource["index"]): int(resource["values"]["size"])
        for resource in resources
        if (resource["type"], resource["name"]) == ("openstack_blockstorage_volume_v3", "data")
    }


def _tool(
    topology: Topology, state: Path, *, running: bool = True, ending: bool = False
) -> terraform.Terraform:
    """Return Terraform, ready to plan, or with `ending` to destroy: the plan then need not mind the disks."""
    env = topology.environment
    tool = terraform.for_environment(env, topology.provider)
    tool.init()
    tool.set_variables(
        {
            "topology": str(repo_root() / "inventories" / env / "topology.yml"),
            "ssh_public_key": ssh.ensure_key(state),
            "owner": make_owner_id(state),
            "image": settings(topology).image,
            "host_keys": host_keys.ensure(topology, state),
            "running": running,
            "existing_data": {} if ending else data_disks.checked(existing_data(tool.resources())),
            "release_data": [] if ending else data_disks.released(),
        }
    )
    return tool


def apply(topology: Topology, state: Path) -> bool:
    """Make the servers as the topology says, and start those that are off; tell whether anything changed."""
    require_ready(topology)
    tool = _tool(topology, state)
    planned = tool.plan()
    if planned is not None:
        for address, action in planned.items():
            say(f"  {action:<8} {address}")
        tool.apply()
    contract.store(state, tool.outputs())
    return planned is not None


def power(topology: Topology, state: Path, *, running: bool) -> None:
    """Start or stop the servers; MillraceError where Terraform would have to change anything else."""
    require_ready(topology)
    tool = _tool(topology, state, running=running)
    planned = tool.plan()
    if planned is None:
        return
    other = [
        f"{address} ({action})"
        for address, action in planned.items()
        if action != "update" or f".{INSTANCE}.this" not in address
    ]
    if other:
        message = (
            "nothing was started or stopped, since the topology or the cloud has changed: "
            f"{', '.join(sorted(other))}; `make provision` makes them agree"
        )
        raise MillraceError(message)
    say(f"{'starting' if running else 'stopping'} {len(planned)} servers")
    tool.apply()


def there(topology: Topology) -> set[str]:
    """Return the names of the nodes that Terraform's state knows; none without a state."""
    tool = terraform.for_environment(topology.environment, topology.provider)
    if not tool.home.exists():
        return set()
    tool.init()
    return tool.nodes()


def start(topology: Topology, state: Path) -> None:
    """Start the servers that exist; MillraceError names those that do not."""
    missing = sorted(set(topology.nodes) - there(topology))
    if missing:
        message = f"{', '.join(missing)} do not exist; `make up` makes them"
        raise MillraceError(message)
    power(topology, state, running=True)


def stop(topology: Topology, state: Path) -> bool:
    """Shut the servers off and keep their disks; tell whether there are any."""
    if not there(topology):
        return False
    power(topology, state, running=False)
    return True


def losses(topology: Topology) -> list[str]:
    """Return what `destroy` would remove, a line a kind."""
    tool = terraform.for_environment(topology.environment, topology.provider)
    if not tool.home.exists():
        return []
    names = ", ".join(sorted(there(topology))) or "none"
    if not (resources := tool.resources()):
        return []
    return [
        f"the servers ({names}) with their root disks and floating addresses",
        f"network, router and security groups of millrace-{topology.environment}",
        *data_disks.losses(topology, existing_data(resources)),
    ]


def destroy(topology: Topology, state: Path) -> None:
    """Remove servers and network, and the data volumes that may go."""
    tool = terraform.for_environment(topology.environment, topology.provider)
    if not tool.home.exists():
        return
    tool.init()
    if not tool.resources():  # nothing was made, so no cloud has to be asked
        return
    require_ready(topology)
    tool = _tool(topology, state, ending=True)
    kept = data_disks.kept(topology, existing_data(tool.resources()))
    tool.destroy(*(ALL_BUT_DATA if kept else ()))
    (state / contract.FILE).unlink(missing_ok=True)
    # Servers that are made anew get keys that no one has had.
    host_keys.forget(state)
