"""Which of the two plans a batch runs with: the short one, or the one that any message can be judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

FULL_BATCHES = 60
"""How many batches take the full path at once after one for which the fast path wasn't enough."""

Plan = Literal["short", "full"]
"""short: Kafka's columns as they are, for judge.fast_path; full: what sql_path.stages() projects."""
Stats = list[dict[str, Any]]
"""What the tasks of a batch report: rows of sensors_job.store.sink.STATS."""


class Plans:
    """The fast path, and for some time after it was not enough the full one.

    Spark plans each batch anew. The fast path costs next to nothing, and the full one most of what the job
    does at a few messages a second.
    """

    def __init__(self) -> None:
        """Begin with the fast path."""
        self._full_batches = 0
        self.last: Plan = "short"
        """What decided the last batch."""

    def run(self, batch: Callable[[Plan], Stats]) -> Stats:
        """Call `batch` with the plan to judge by, and again with the other where it has to be.

        Where a message of one partition is undecided the whole batch runs again: the ledger makes the tasks
        of the other partitions skip what they have written, so of those the first run's report counts.
        """
        if self._full_batches:
            self._full_batches -= 1
            self.last = "full"
            return batch("full")
        decided = batch("short")
        if not any(row["undecided"] for row in decided):
            self.last = "short"
            return decided
        self.last = "full"
        # Where there was one such message there may be more.
        self._full_batches = FULL_BATCHES
        decided = [row for row in decided if not row["undecided"]]
        skipped = {row["partition"] for row in decided}
        return decided + [row for row in batch("full") if row["partition"] not in skipped]
