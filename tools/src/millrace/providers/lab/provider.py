"""The lab as a provider: Incus containers on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.access.ssh import DIRECT
from millrace.providers.lab import destroy, image, nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from millrace.access.ssh import Way
    from millrace.model.topology import Topology


@dataclass(frozen=True)
class Lab:
    """The nodes of one topology; `state` is the environment's state directory."""

    topology: Topology
    state: Path

    def apply(self) -> bool:
        """Make the containers as the topology says; tell whether anything changed."""
        nodes.require_daemon()
        return nodes.apply(self.topology, self.state)

    def start(self) -> None:
        """Start the containers; refuse where one is missing or another owner's."""
        nodes.require_daemon()
        nodes.start(self.topology, self.state)

    def stop(self) -> bool:
        """Stop our containers; tell whether there are any."""
        nodes.require_daemon()
        return nodes.stop(self.topology.environment, self.state)

    def losses(self) -> list[str]:
        """Return what `destroy` would remove, a line a kind."""
        return destroy.losses(self.topology, self.state)

    def destroy(self) -> None:
        """Remove containers, project and bridge; pool and daemon where nothing else uses them."""
        destroy.destroy(self.topology, self.state)

    def image(self) -> str:
        """Make the base image where it is missing; return its alias."""
        nodes.require_daemon()
        return image.ensure()

    def way(self) -> Way:
        """Return that each node is reached by its own address."""
        return DIRECT

    def host_keys(self) -> Mapping[str, str]:
        """Read the host keys through the daemon."""
        return nodes.host_keys(self.topology)
