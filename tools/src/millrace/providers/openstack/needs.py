"""What OpenStack needs of the operator's machine: credentials. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.providers.interface import Needs
from millrace.providers.openstack import clouds

if TYPE_CHECKING:
    from millrace.model.outline import Outline
    from millrace.providers.interface import Machine
    from millrace.system import OsRelease


@dataclass(frozen=True)
class OpenStackFound:
    """Whether there are credentials."""

    problem: str
    exists: bool = False

    def problems(self) -> list[str]:
        """Return a line where there are none."""
        return [self.problem] if self.problem else []

    def plan(self) -> list[str]:
        """Return nothing: on this machine, nothing is changed."""
        return []

    def change(self) -> None:
        """Change nothing."""


@dataclass(frozen=True)
class OpenStackPreparation:
    """What the bootstrap does for an environment in a cloud."""

    place: None = None

    def needs(self, _release: OsRelease) -> Needs:
        """Return that no package is needed besides what all environments need."""
        return Needs(packages={}, variables=(clouds.VARIABLE,))

    def look(self, _machine: Machine) -> OpenStackFound:
        """Look for the credentials."""
        return OpenStackFound(clouds.problem())


def preparation(_outline: Outline) -> OpenStackPreparation:
    """Return what an environment in a cloud prepares."""
    return OpenStackPreparation()
