"""Watches a topic's ledger in a database while something is measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import probe
from node_process import NodeProcess

from millrace.console import MillraceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from visibility import Change

SCRIPT = Path(__file__).with_name("on_node_watch.py").read_text(encoding="utf-8")
COMMAND = ("sudo", "-u", "postgres", "python3", "-c", SCRIPT)
READY = 60  # seconds until it watches; it may wait for a batch to end


class Watch(NodeProcess):
    """The changes so far are `changes`; each partition's first one is what was there at first."""

    def __init__(
        self, topic: str, *, interval: float, database: str = probe.SENSORS, hold: bool = False
    ) -> None:
        """Begin to watch; with `hold` the job's next batch waits until `release`."""
        given = {"database": database, "topic": topic, "interval": interval, "hold": hold}
        self.changes: list[Change] = []
        super().__init__(probe.DATABASE, COMMAND, given)
        try:
            self._take_first()
        except BaseException:
            self.close()  # nobody else can: it is not there yet
            raise

    def release(self) -> None:
        """Let the job go."""
        self.send("release")

    @property
    def offsets(self) -> dict[int, int]:
        """The newest offsets by partition."""
        self._take()
        return {partition: offset for _, partition, offset in self.changes}

    def wait(self, ends: Mapping[int, int], patience: float) -> None:
        """Wait until every partition has come to its end; MillraceError after `patience` seconds."""
        give_up = time.monotonic() + patience
        while any(self.offsets.get(partition, 0) < end for partition, end in ends.items()):
            if time.monotonic() > give_up:
                message = f"the job came to {self.offsets} within {patience:.0f} s, not to {dict(ends)}"
                raise MillraceError(message)
            time.sleep(0.2)

    def _take_first(self) -> None:
        give_up = time.monotonic() + READY
        while (answer := self.receive(max(1.0, give_up - time.monotonic()))) != ["watching"]:
            self.changes.append((answer[0], answer[1], answer[2]))

    def _take(self) -> None:
        self.changes += [(answer[0], answer[1], answer[2]) for answer in self.received()]
