"""An environment of two lab nodes: a broker and a database, small enough for a small machine."""

from __future__ import annotations

from typing import Any

import filtered
import yaml

from millrace.paths import repo_root

NAME = "two"
SOURCE = "mini"
KEPT = ("kafka", "timescaledb")  # groups; each has one node in the source
MEMORY = 1024  # MiB
# Beside those of the environments that ship.
NETWORK = {"cidr": "10.99.0.0/24", "gateway": "10.99.0.1", "bridge": "millrace8"}


def two_nodes(topology: dict[str, Any]) -> dict[str, Any]:
    """Return a topology with one node for each group of KEPT, which is in no other."""
    return filtered.only(topology, NAME, NETWORK, KEPT, memory=MEMORY)


def topology() -> dict[str, Any]:
    """Return the topology of the test."""
    source = repo_root() / "inventories" / SOURCE / "topology.yml"
    return two_nodes(yaml.safe_load(source.read_text(encoding="utf-8")))
