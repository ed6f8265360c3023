"""Which of the two plans a batch runs with: the short one, or the one that any message can be judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensors_job import validation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sensors_job.config import Limits
    from sensors_job.validation import Stage

FULL_BATCHES = 60
"""How many batches take the full plan at once after one for which the short plan wasn't enough."""

Stats = list[dict[str, Any]]
"""What the tasks of a batch report: rows of sensors_job.sink.STATS."""


@dataclass(frozen=True)
class Plan:
    """How a batch's messages are judged.

    `stages`: the projections. `messages`: whether the tasks get the accepted messages themselves, too, which
    they need only for those that are in conflict with another.
    """

    stages: list[Stage]
    messages: bool


class Plans:
    """The short plan, and for some time after it was not enough the full one.

    At a few messages a second, planning is most of what the job does, and the short plan costs half.
    """

    def __init__(self, limits: Limits, types: Mapping[str, str]) -> None:
        """Make both plans' projections from the message contract's settings."""
        self._short = Plan(validation.stages(limits, types, second_look=False), messages=False)
        self._full = Plan(validation.stages(limits, types), messages=True)
        self._full_batches = 0

    def run(self, batch: Callable[[Plan], Stats]) -> Stats:
        """Call `batch` with the plan to judge by, and again with the other where it has to be.

        Where a message of one partition is undecided the whole batch runs again: the ledger makes the tasks
        of the other partitions skip what they have written, so of those the first run's report counts.
        """
        if self._full_batches:
            self._full_batches -= 1
            return batch(self._full)
        decided = batch(self._short)
        if not any(row["undecided"] for row in decided):
            return decided
        # Where there was one such message there may be more.
        self._full_batches = FULL_BATCHES
        decided = [row for row in decided if not row["undecided"]]
        skipped = {row["partition"] for row in decided}
        return decided + [row for row in batch(self._full) if row["partition"] not in skipped]
