"""An environment of virtual machines with one tier of libvirt-mini, made for a test and removed after it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import yaml

from millrace.paths import repo_root

if TYPE_CHECKING:
    from pathlib import Path

NAME = "libvirt-test"
SOURCE = "libvirt-mini"
# Beside those of the environments that ship.
NETWORK = {"cidr": "10.98.0.0/24", "gateway": "10.98.0.1", "bridge": "millrace9"}


def one_tier(topology: dict[str, Any], tier: str) -> dict[str, Any]:
    """Return a topology with the nodes of one group alone, which are in no other, in the test's network."""
    prefix = NETWORK["cidr"].rpartition(".")[0]
    nodes = {
        name: {**node, "groups": [tier], "address": f"{prefix}.{node['address'].rpartition('.')[2]}"}
        for name, node in topology["nodes"].items()
        if tier in node["groups"]
    }
    return {
        **topology,
        "environment": NAME,
        "domain": f"{NAME}.millrace.internal",
        "network": NETWORK,
        "nodes": nodes,
    }


def folder() -> Path:
    """Return the environment's folder, which git does not look at."""
    return repo_root() / "inventories" / NAME


def make(tier: str) -> list[str]:
    """Write the environment; return the names of its nodes."""
    source = repo_root() / "inventories" / SOURCE
    topology = one_tier(yaml.safe_load((source / "topology.yml").read_text(encoding="utf-8")), tier)
    shutil.rmtree(folder(), ignore_errors=True)
    shutil.copytree(source, folder())
    text = yaml.safe_dump(topology, sort_keys=False, explicit_start=True, default_flow_style=None)
    (folder() / "topology.yml").write_text(text, encoding="utf-8")
    return list(topology["nodes"])


def remove() -> None:
    """Remove the environment's folder."""
    shutil.rmtree(folder())
