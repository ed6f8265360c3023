"""libvirt as a provider: virtual machines on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.access.ssh import DIRECT
from millrace.providers import host_keys
from millrace.providers.libvirt import image, nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from millrace.access.ssh import Way
    from millrace.model.topology import Topology


@dataclass(frozen=True)
class Libvirt:
    """The nodes of one topology; `state` is the environment's state directory."""

    topology: Topology
    state: Path

    def apply(self) -> bool:
        """Make the virtual machines as the topology says; tell whether anything changed."""
        nodes.require_daemon()
        return nodes.apply(self.topology, self.state)

    def start(self) -> None:
        """Start the virtual machines; refuse where one is missing or another owner's."""
        nodes.require_daemon()
        nodes.start(self.topology, self.state)

    def stop(self) -> bool:
        """Shut our virtual machines down; tell whether there are any."""
        nodes.require_daemon()
        return nodes.stop(self.topology.environment, self.state)

    def losses(self) -> list[str]:
        """Return what `destroy` would remove, a line a kind."""
        return nodes.losses(self.topology)

    def destroy(self) -> None:
        """Remove virtual machines, network, and the data disks that may go."""
        nodes.require_daemon()
        nodes.destroy(self.topology, self.state)

    def image(self) -> str:
        """Make the image where it is missing; return its path."""
        return str(image.ensure().root)

    def way(self) -> Way:
        """Return that each node is reached by its own address, over this machine's bridge."""
        return DIRECT

    def host_keys(self) -> Mapping[str, str]:
        """Return the host keys that the nodes were given at their first boot: made on this machine."""
        return host_keys.public(self.topology, self.state)
