"""The full path runs only where a message needs it, and each partition's report counts once."""

from __future__ import annotations

from sensors_job.judge.plans import FULL_BATCHES, Plan, Plans, Stats


class Batch:
    """A batch of three partitions; in the odd ones is a message that the fast path can't decide."""

    def __init__(self, *odd: int) -> None:
        """Nothing has run yet; `plans` says what did."""
        self._odd = odd
        self.plans: list[str] = []

    def __call__(self, plan: Plan) -> Stats:
        """Report as the tasks do, and which plan it was."""
        self.plans.append(plan)
        return [
            {"partition": partition, "undecided": plan == "short" and partition in self._odd, "plan": plan}
            for partition in range(3)
        ]


def test_one_plan_is_enough_where_all_is_decided() -> None:
    plans, batch = Plans(), Batch()
    assert [row["plan"] for row in plans.run(batch)] == ["short"] * 3
    assert (batch.plans, plans.last) == (["short"], "short")


def test_what_the_short_plan_decided_is_reported_by_its_run() -> None:
    plans, batch = Plans(), Batch(1)
    report = {row["partition"]: row["plan"] for row in plans.run(batch)}
    assert report == {0: "short", 1: "full", 2: "short"}
    assert (batch.plans, plans.last) == (["short", "full"], "full")


def test_afterwards_the_full_plan_comes_first_for_a_while() -> None:
    plans, batch = Plans(), Batch()
    plans.run(Batch(0))
    for _ in range(FULL_BATCHES + 1):
        plans.run(batch)
        assert plans.last == batch.plans[-1]
    assert batch.plans == ["full"] * FULL_BATCHES + ["short"]
