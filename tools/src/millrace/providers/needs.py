"""What each provider needs of the operator's machine. Standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.console import MillraceError
from millrace.model.providers import IMPLEMENTED, PROVIDERS, unimplemented
from millrace.providers.lab import needs as lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace.providers.interface import Needs

NEEDS: Mapping[str, Needs] = {"lab": lab.NEEDS}


def needs_of(provider: str) -> Needs:
    """Return what a provider needs; raise MillraceError with one line for one that is not there."""
    if provider not in IMPLEMENTED:
        unknown = f"provider: must be one of {', '.join(PROVIDERS)}, not {provider!r}"
        raise MillraceError(unimplemented(provider) or unknown)
    return NEEDS[provider]
