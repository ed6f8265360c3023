"""An environment of virtual machines with one tier of libvirt-mini, made for a test and removed after it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import filtered
import yaml

from millrace.paths import repo_root

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "libvirt-mini"
# Beside those of the environments that ship, and of each other.
NETWORKS = {
    "kafka": {"cidr": "10.97.0.0/24", "gateway": "10.97.0.1", "bridge": "millrace8"},
    "timescaledb": {"cidr": "10.98.0.0/24", "gateway": "10.98.0.1", "bridge": "millrace9"},
}


def name(tier: str) -> str:
    """Return the name of a tier's environment."""
    return f"libvirt-test-{tier}"


def one_tier(topology: dict[str, Any], tier: str) -> dict[str, Any]:
    """Return a topology with the nodes of one group alone, which are in no other, in the test's network."""
    return filtered.only(topology, name(tier), NETWORKS[tier], {tier})


def folder(tier: str) -> Path:
    """Return the environment's folder, which git does not look at."""
    return repo_root() / "inventories" / name(tier)


def make(tier: str) -> list[str]:
    """Write the environment; return the names of its nodes."""
    source = repo_root() / "inventories" / SOURCE
    topology = one_tier(yaml.safe_load((source / "topology.yml").read_text(encoding="utf-8")), tier)
    shutil.rmtree(folder(tier), ignore_errors=True)
    shutil.copytree(source, folder(tier))
    text = yaml.safe_dump(topology, sort_keys=False, explicit_start=True, default_flow_style=None)
    (folder(tier) / "topology.yml").write_text(text, encoding="utf-8")
    return list(topology["nodes"])


def remove(tier: str) -> None:
    """Remove the environment's folder."""
    shutil.rmtree(folder(tier))
