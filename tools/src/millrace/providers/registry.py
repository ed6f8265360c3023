"""The provider of an environment, as its topology chooses it with `provider:`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.paths import state_dir
from millrace.providers.lab.provider import Lab
from millrace.providers.libvirt.provider import Libvirt
from millrace.providers.openstack.provider import Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from millrace.model.topology import Topology
    from millrace.providers.interface import Provider

MAKERS: Mapping[str, Callable[[Topology, Path], Provider]] = {
    "lab": Lab,
    "libvirt": Libvirt,
    "openstack": Cloud,
}


def provider_of(topology: Topology) -> Provider:
    """Return the environment's provider.

    Its state directory may not exist: what only asks of nodes, or removes them, must leave none behind.
    """
    return MAKERS[topology.provider](topology, state_dir(topology.environment))
