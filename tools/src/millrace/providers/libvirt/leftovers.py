"""What libvirt has under an environment's names, and what of it Terraform's state does not know.

The provider stores what it made when it has made it. So an apply that was killed, or a machine that could not
be started, leaves things of which the state says nothing, and the next apply fails at their names. What was
there before an apply is written down; what came since, and is not in the state, is its leftovers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from millrace.console import say
from millrace.providers.libvirt import virsh

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# The resource types of the state, in the order in which their things may be removed.
_KINDS = {
    "libvirt_domain": "domains",
    "libvirt_volume": "volumes",
    "libvirt_cloudinit_disk": "volumes",
    "libvirt_pool": "pools",
    "libvirt_network": "networks",
}
_REMOVALS = {
    "domains": ("virtual machine {name}", "`{virsh} destroy {name}` and `{virsh} undefine {name}`"),
    "volumes": ("volume {name}", "`{virsh} vol-delete {name} --pool {pool}`, with all that it holds,"),
    "pools": ("storage pool {name}", "`{virsh} pool-destroy {name}` and `{virsh} pool-undefine {name}`"),
    "networks": ("network {name}", "`{virsh} net-destroy {name}` and `{virsh} net-undefine {name}`"),
}


@dataclass(frozen=True)
class Things:
    """Names of an environment's domains, volumes, pools and networks, sorted."""

    domains: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def without(self, *others: Things) -> Things:
        """Return what none of the others has."""
        return Things(
            **{
                kind: tuple(
                    name for name in names if not any(name in getattr(other, kind) for other in others)
                )
                for kind, names in asdict(self).items()
            }
        )


def in_libvirt(name: str, owner: str) -> Things:
    """Return what libvirt has of an environment: network and pool of this name, and the owner's domains.

    A name alone does not tell whose a domain is: millrace-a-b-1 may be b-1 of a, or 1 of a-b.
    """
    pools = [pool for pool in virsh.pools() if pool == name]
    domains = [one.name for one in virsh.domains(f"{name}-") if owner and one.owner == owner]
    return Things(
        domains=tuple(sorted(domains)),
        volumes=tuple(sorted(virsh.volumes(name))) if pools else (),
        pools=tuple(pools),
        networks=tuple(one for one in virsh.networks() if one == name),
    )


def in_state(resources: Iterable[dict[str, Any]]) -> Things:
    """Return what Terraform's state has, from the resources of `terraform show -json`."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        if kind := _KINDS.get(resource["type"]):
            found.setdefault(kind, []).append(str(resource["values"]["name"]))
    return Things(**{kind: tuple(sorted(names)) for kind, names in found.items()})


def vanished(resources: Iterable[dict[str, Any]], found: Things) -> list[str]:
    """Return the addresses of what the state has, and libvirt no longer."""
    return [
        str(resource["address"])
        for resource in resources
        if (kind := _KINDS.get(resource["type"])) and resource["values"]["name"] not in getattr(found, kind)
    ]


def remember(path: Path, before: Things) -> None:
    """Write down what there was before an apply, unless an earlier one did not end well."""
    if not path.exists():
        # In one step: half a note would be worse than none.
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(before)) + "\n", encoding="utf-8")
        partial.rename(path)


def unfinished(path: Path, now: Things, known: Things) -> Things:
    """Return what an apply that did not end well made, and the state does not know."""
    if not path.exists():
        return Things()
    before = json.loads(path.read_text(encoding="utf-8"))
    return now.without(known, Things(**{kind: tuple(names) for kind, names in before.items()}))


def remove(things: Things, pool: str) -> None:
    """Remove an unfinished apply's leftovers."""
    for domain in things.domains:
        say(f"removing {domain}, which an earlier run did not finish")
        virsh.remove_domain(domain)
    for volume in things.volumes:
        say(f"removing the volume {volume}, which an earlier run did not finish")
        virsh.virsh("vol-delete", volume, "--pool", pool)
    for name in things.pools:
        virsh.remove_pool(name)
    for name in things.networks:
        virsh.remove_network(name)


def refusals(things: Things, pool: str) -> list[str]:
    """Return a line for each thing of our names that this state did not make, with what removes it."""
    lines: list[str] = []
    for kind, (called, removal) in _REMOVALS.items():
        lines += [
            f"libvirt has a {called.format(name=name)} that this state did not make;"
            f" {removal.format(name=name, pool=pool, virsh=virsh.COMMAND)} removes it"
            for name in getattr(things, kind)
        ]
    if lines:
        lines.insert(0, "another state directory may have made these: restore it (XDG_STATE_HOME); or else")
    return lines
