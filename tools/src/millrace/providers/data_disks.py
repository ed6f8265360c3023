"""Data disks outlive nodes: which of them a `destroy` leaves, and which the caller lets go by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millrace.model.topology import Topology


def released() -> list[str]:
    """Return the data disks that the caller lets go: DATA=NODE/DISK,…."""
    return [one for one in os.environ.get("DATA", "").split(",") if one]


def kept(topology: Topology, existing: Iterable[str]) -> list[str]:
    """Return the data disks that `destroy` leaves: those of nodes that are not disposable, but for DATA=."""
    disposable = {name for name, node in topology.nodes.items() if node.disposable}
    return sorted(
        one for one in existing if one.partition("/")[0] not in disposable and one not in released()
    )


def losses(topology: Topology, existing: Iterable[str]) -> list[str]:
    """Return what `destroy` would do with data disks, a line a kind."""
    disks = sorted(existing)
    left = kept(topology, disks)
    gone = [one for one in disks if one not in left]
    lines = [f"the data disks {', '.join(gone)} with all that they hold"] if gone else []
    if left:
        lines.append(f"not the data disks {', '.join(left)}; DATA={','.join(left)} would")
    return lines
