"""Data disks outlive nodes: which of them a `destroy` leaves, and which the caller lets go by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from millrace.console import MillraceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millrace.model.topology import Topology


LEFT = "not the data disks"


def released() -> list[str]:
    """Return the data disks that the caller lets go: DATA=NODE/DISK,…."""
    return [one for one in os.environ.get("DATA", "").split(",") if one]


def checked(existing: dict[str, int]) -> dict[str, int]:
    """Return the data disks that there are; MillraceError where DATA= names one that there is not."""
    disks = sorted(existing)
    if unknown := sorted(set(released()) - set(disks)):
        message = f"DATA: there is no data disk {', '.join(unknown)}; there are: {', '.join(disks) or 'none'}"
        raise MillraceError(message)
    return existing


def kept(topology: Topology, existing: Iterable[str]) -> list[str]:
    """Return the data disks that `destroy` leaves: those of nodes that are not disposable, but for DATA=."""
    disposable = {name for name, node in topology.nodes.items() if node.disposable}
    return sorted(
        one for one in existing if one.partition("/")[0] not in disposable and one not in released()
    )


def losses(topology: Topology, existing: dict[str, int]) -> list[str]:
    """Return what `destroy` would do with data disks, a line a kind."""
    disks = sorted(checked(existing))
    left = kept(topology, disks)
    gone = [one for one in disks if one not in left]
    lines = [f"the data disks {', '.join(gone)} with all that they hold"] if gone else []
    if left:
        lines.append(f"{LEFT} {', '.join(left)}; DATA={','.join(left)} would")
    return lines


def some_left(lines: Iterable[str]) -> bool:
    """Tell whether `losses` names data disks that stay."""
    return any(line.startswith(LEFT) for line in lines)
