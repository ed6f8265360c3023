"""What a provider has to offer. Standard library only, since the bootstrap reads `Needs`.

A provider makes an environment's machines. To add one: a package beside `lab` with these parts, a line in
`needs.py` and `registry.py`, its name in `model/providers.py`, and a Terraform root in terraform/providers.
What stands in the topology whatever the provider (`operator_sources`, which nodes are `disposable`) is asked
of the topology itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Needs:
    """What the operator's machine must have for a provider's environments (`prepare`).

    `packages` maps a Debian package to what shows that it is there: a program, a path, or `module:NAME`.
    """

    packages: Mapping[str, str]


class Provider(Protocol):
    """The machines of one environment. Methods raise MillraceError for what an operator can put right."""

    def apply(self) -> bool:
        """Make the nodes as the topology says and wait until they run; tell whether anything changed."""

    def start(self) -> None:
        """Start the nodes that exist; refuse where one is missing."""

    def stop(self) -> bool:
        """Stop the running nodes and keep their data; tell whether there are any nodes."""

    def losses(self) -> list[str]:
        """Return a line for each kind of thing that `destroy` would remove. Changes nothing."""

    def destroy(self) -> None:
        """Remove nodes, their data, and the network; nothing of another environment."""

    def image(self) -> str:
        """Make the nodes' image where it is missing; return its name."""

    def addresses(self) -> Mapping[str, str]:
        """Return the address of each node by name, also those that the provider assigned."""

    def host_keys(self) -> Mapping[str, str]:
        """Return each node's public SSH host key line by name, read in a way that needs no trust in SSH."""
