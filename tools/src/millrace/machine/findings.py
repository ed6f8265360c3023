"""What the bootstrap finds on a machine, what stands in its way and what it would change. Pure functions.

Here is what every provider's environments need; the provider adds what is its own (providers/needs.py).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.console import MillraceError
from millrace.model.outline import outline
from millrace.paths import cache_dir
from millrace.providers import terraform
from millrace.providers.interface import NOTHING_FOUND
from millrace.providers.needs import preparation_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace import system
    from millrace.model.neighbours import Place
    from millrace.providers.interface import Found, Preparation

SUPPORTED = {("debian", "12"), ("debian", "13"), ("ubuntu", "24.04")}


@dataclass(frozen=True)
class Wanted:
    """What the topology and its provider ask of the machine; memory of all nodes in MiB."""

    memory: int
    preparation: Preparation


@dataclass(frozen=True)
class Facts:
    """What the machine is and has; memory in MiB, disk in GiB."""

    os: system.OsRelease
    privileged: bool
    missing: tuple[str, ...]
    memory: int
    disk: float
    terraform: str | None = "terraform"
    late: tuple[str, ...] = ()  # those of `missing` that have to come from backports
    backports: system.AptSource | None = None  # the archive to take backports from
    has_backports: bool = False
    found: Found = NOTHING_FOUND  # what the provider found


def wanted_by(topology: str) -> Wanted:
    """Read a topology's text; MillraceError for a provider that is not there, or with too little."""
    read = outline(topology)
    return Wanted(read.memory, preparation_for(read))


def places(topologies: Mapping[str, str]) -> dict[str, Place]:
    """Return what each environment takes of this machine's network, from its topology's text.

    Those are left out that take nothing (another provider) or whose file says too little: it is no obstacle
    here, and `make validate` tells of it there.
    """
    found = {}
    for env, text in topologies.items():
        with contextlib.suppress(MillraceError, ValueError):
            place = wanted_by(text).preparation.place
            if place is not None:
                found[env] = place
    return found


def problems(facts: Facts, wanted: Wanted) -> list[str]:
    """Return what stands in an environment's way here; nothing may be changed before it is empty."""
    found = []
    needs = wanted.preparation.needs(facts.os)
    supported = (facts.os.id, facts.os.version) in SUPPORTED
    if facts.missing and not supported:
        found.append(
            "packages are installed for you on Debian 12, Debian 13 and Ubuntu 24.04, and this is"
            f" {facts.os.pretty}; install the like of these Debian packages: {' '.join(facts.missing)}"
        )
    if not facts.privileged:
        found.append("root or sudo is needed (as root, or with a user who may use sudo)")
    if facts.terraform is None:
        found.append(terraform.INSTALL_HINT)
    if facts.late and not facts.has_backports and facts.backports is None:
        found.append(
            "bookworm-backports is needed, and no apt source of this machine has its neighbour bookworm"
        )
    if needs.directory is not None and wanted.memory > facts.memory:
        found.append(
            f"the nodes together may use {wanted.memory} MiB of memory; this machine has {facts.memory} MiB"
        )
    disk = needs.disk_later if facts.found.exists else needs.disk
    if facts.disk < disk:
        where = needs.directory or cache_dir()
        found.append(f"{disk} GiB of disk are needed under {where} and {facts.disk:.1f} GiB are free")
    return found + facts.found.problems()


def plan(facts: Facts) -> list[str]:
    """Return one line for each change to the machine; empty where there is nothing to do."""
    changes = []
    if facts.late and not facts.has_backports and facts.backports:
        changes.append(f"add the apt source bookworm-backports from {facts.backports.uri}")
    if facts.missing:
        changes.append(f"install packages (and what they depend on): {' '.join(facts.missing)}")
    return changes + facts.found.plan()


def demand(facts: Facts, wanted: Wanted) -> str:
    """Return the sentence that says what an environment takes of the machine."""
    needs = wanted.preparation.needs(facts.os)
    places = [str(path) for path in (needs.directory, cache_dir()) if path is not None]
    memory = "" if needs.directory is None else f", and {wanted.memory} MiB of memory"
    return f"The {needs.called} needs up to {needs.disk} GiB of disk in {' and '.join(places)}{memory}."
