"""What each provider needs of the operator's machine. Standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.console import MillraceError
from millrace.model.providers import PROVIDERS
from millrace.providers.lab import needs as lab
from millrace.providers.libvirt import needs as libvirt
from millrace.providers.openstack import needs as openstack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from millrace.model.outline import Outline
    from millrace.providers.interface import Preparation

PREPARATIONS: Mapping[str, Callable[[Outline], Preparation]] = {
    "lab": lab.preparation,
    "libvirt": libvirt.preparation,
    "openstack": openstack.preparation,
}


def preparation_for(outline: Outline) -> Preparation:
    """Return what an environment's provider prepares.

    Raises MillraceError with one line for a provider that is not there, or that misses something in the
    topology.
    """
    provider = outline.provider
    if provider not in PREPARATIONS:
        message = f"provider: must be one of {', '.join(PROVIDERS)}, not {provider!r}"
        raise MillraceError(message)
    return PREPARATIONS[provider](outline)
