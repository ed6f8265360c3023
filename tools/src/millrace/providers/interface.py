"""What a provider has to offer. Standard library only, since the bootstrap reads `Preparation`.

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
    from pathlib import Path

    from millrace.access.ssh import Way
    from millrace.model.neighbours import Place
    from millrace.system import OsRelease

DOWNLOADS = 2  # GiB for what is downloaded, whoever runs the nodes


@dataclass(frozen=True)
class Needs:
    """What the operator's machine must have for a provider's environments, besides what all of them need.

    `packages` maps a Debian package to what shows that it is there: a program, a path, or `module:NAME`.
    Disk is in GiB: at first, and once the nodes are there.
    """

    packages: Mapping[str, str]
    from_backports: frozenset[str] = frozenset()  # packages that the distribution itself does not have
    variables: tuple[str, ...] = ()  # of the environment, which installing packages as root must keep
    called: str = "environment"  # in messages
    directory: Path | None = None  # where the nodes lie, None where they do not run on this machine
    disk: int = DOWNLOADS
    disk_later: int = DOWNLOADS


@dataclass(frozen=True)
class Machine:
    """What the bootstrap knows when it asks the provider to look."""

    os: OsRelease
    privileged: bool
    missing: tuple[str, ...]  # packages to install first


class Found(Protocol):
    """What a provider found on the machine, besides packages, memory and disk."""

    @property
    def exists(self) -> bool:
        """Whether its nodes have a place on the disk already."""

    def problems(self) -> list[str]:
        """Return what stands in the way, a line each."""

    def plan(self) -> list[str]:
        """Return one line for each change; empty where there is nothing to do."""

    def change(self) -> None:
        """Carry out the plan; the missing packages have been installed before."""


@dataclass(frozen=True)
class NothingFound:
    """For a provider that needs packages alone."""

    exists: bool = False

    def problems(self) -> list[str]:
        """Return nothing."""
        return []

    def plan(self) -> list[str]:
        """Return nothing."""
        return []

    def change(self) -> None:
        """Change nothing."""


NOTHING_FOUND = NothingFound()


class Preparation(Protocol):
    """What the bootstrap does for one environment's provider (`prepare`). Standard library only."""

    @property
    def place(self) -> Place | None:
        """What of this machine's network must not be another environment's; None if it takes nothing."""

    def needs(self, release: OsRelease) -> Needs:
        """Return what it needs on a distribution."""

    def look(self, machine: Machine) -> Found:
        """Look at the machine; changes nothing."""


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

    def way(self) -> Way:
        """Return how this machine reaches the nodes that there are: other addresses, a jump host."""

    def host_keys(self) -> Mapping[str, str]:
        """Return each node's public SSH host key line by name, read in a way that needs no trust in SSH."""
