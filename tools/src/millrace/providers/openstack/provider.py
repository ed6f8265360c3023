"""OpenStack as a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.access.ssh import Way
from millrace.console import MillraceError
from millrace.providers import contract, host_keys
from millrace.providers.openstack import servers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from millrace.model.topology import Topology


@dataclass(frozen=True)
class Cloud:
    """The nodes of one topology; `state` is the environment's state directory."""

    topology: Topology
    state: Path

    def apply(self) -> bool:
        """Make the servers as the topology says; tell whether anything changed."""
        return servers.apply(self.topology, self.state)

    def start(self) -> None:
        """Start the servers; refuse where one is missing."""
        servers.start(self.topology, self.state)

    def stop(self) -> bool:
        """Shut the servers off; tell whether there are any."""
        return servers.stop(self.topology, self.state)

    def losses(self) -> list[str]:
        """Return what `destroy` would remove, a line a kind."""
        return servers.losses(self.topology)

    def destroy(self) -> None:
        """Remove servers, network, and the data volumes that may go."""
        servers.destroy(self.topology, self.state)

    def image(self) -> str:
        """Return the name of the image, which is the cloud's own."""
        return servers.settings(self.topology).image

    def way(self) -> Way:
        """Return the way in: through the first jump host, or to each node's own public address."""
        kept = contract.stored(self.state)
        public = {name: node["public"] for name, node in kept["nodes"].items() if node["public"]}
        entries = kept["bastions"] or list(self.topology.nodes)
        if lost := sorted(set(entries) - public.keys()):
            message = f"{', '.join(lost)}: no public address is known; `make provision` asks the cloud"
            raise MillraceError(message)
        return Way({name: public[name] for name in entries}, next(iter(kept["bastions"]), ""))

    def host_keys(self) -> Mapping[str, str]:
        """Return the host keys that the nodes were given at their first boot: made on this machine."""
        return host_keys.public(self.topology, self.state)
