"""Watches whether messages make progress, whatever the Kafka client thinks. The caller has the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

STALL_S = 8.0
LONGEST_S = 64.0
L = TypeVar("L")


@dataclass
class _Lane:
    """What is unacknowledged of a lane, since when nothing has come of it, and for how long that is fine."""

    since: float
    patience: float
    waiting: int = 0


class Watch(Generic[L]):
    """Tells which lanes (partitions, or keys) have messages in flight, but no acknowledgement for too long.

    Other lanes' acknowledgements are nothing to it. All times are seconds of one clock that never goes back.
    """

    def __init__(self, stall_s: float = STALL_S, longest_s: float = LONGEST_S) -> None:
        """Allow `stall_s`; twice as much after each new client that did not help, up to `longest_s`."""
        self._stall = stall_s
        self._longest = longest_s
        self._lanes: dict[L, _Lane] = {}

    def handed(self, lane: L, now: float) -> None:
        """Count a message that was handed to the client."""
        found = self._lanes.setdefault(lane, _Lane(now, self._stall))
        if found.waiting == 0:
            found.since = now
        found.waiting += 1

    def answered(self, lane: L, now: float) -> None:
        """Count the answer to one: acknowledged, or refused for good."""
        found = self._lanes.get(lane)
        if found is not None and found.waiting > 0:
            found.waiting -= 1
            found.since = now
            found.patience = self._stall

    def stalled(self, now: float) -> list[L]:
        """Return the lanes that need a new client."""
        return [
            name for name, lane in self._lanes.items() if lane.waiting and now - lane.since >= lane.patience
        ]

    def restarted(self, now: float) -> None:
        """Note that a new client is there, and nothing in flight: what was is handed over once more."""
        late = self.stalled(now)
        # A lane that was idle is forgotten, so that keys that come and go do not pile up.
        self._lanes = {name: lane for name, lane in self._lanes.items() if lane.waiting}
        for name, lane in self._lanes.items():
            lane.waiting = 0
            lane.patience = min(2 * lane.patience, self._longest) if name in late else lane.patience
