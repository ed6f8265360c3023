"""Throughput and latency as the ledger's changes tell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from visibility import (
    Change,
    MeasurementError,
    Window,
    first_change,
    latencies,
    saturated,
    spans,
    within,
)

HELD = {0: 100, 1: 200}
ENDS = {0: 1100, 1: 1200}
FOUND: list[Change] = [(0.0, 0, 100), (0.0, 1, 200)]


def test_the_window_is_from_the_last_held_batch_to_the_last_commit() -> None:
    changes = [
        *FOUND,
        (9.0, 0, 110),  # the batch that was held: it waited, and its time is not the job's
        (10.0, 1, 205),
        (12.0, 0, 600),
        (12.5, 1, 1200),
        (20.0, 0, 1100),
        (30.0, 0, 1150),  # what came afterwards is none of the window's
    ]
    assert saturated(changes, HELD, ENDS) == Window(990 + 995, 10.0)
    assert saturated(changes, HELD, ENDS).rate == 198.5


def test_other_partitions_of_the_topic_do_not_count() -> None:
    held, done = [(2.0, 0, 101), (2.0, 1, 201)], [(4.0, 0, 1100), (4.0, 1, 1200)]
    changes = [*FOUND, (1.0, 7, 9), *held, (3.0, 7, 10), *done]
    assert saturated(changes, HELD, ENDS) == Window(1998, 2.0)


def test_a_partition_without_messages_is_not_waited_for() -> None:
    changes = [*FOUND, (1.0, 0, 101), (3.0, 0, 1100)]
    assert saturated(changes, HELD, {0: 1100, 1: 200}) == Window(999, 2.0)


def test_a_partition_that_the_held_batch_had_nothing_of_is_drained_in_the_window() -> None:
    changes = [*FOUND, (9.0, 0, 110), (12.0, 1, 1200), (14.0, 0, 1100)]
    assert saturated(changes, HELD, ENDS) == Window(990 + 1000, 5.0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([*FOUND, (1.0, 0, 101), (1.0, 1, 201), (2.0, 0, 1100)], "came to {0: 1100, 1: 201}"),
        # It was not held: nearly everything was written before the window could begin.
        ([*FOUND, (1.0, 0, 1000), (1.0, 1, 1100), (2.0, 0, 1100), (2.0, 1, 1200)], "no backlog"),
        # It wrote all at once: there is no window.
        ([*FOUND, (1.0, 0, 1100), (1.0, 1, 1200)], "no backlog"),
        ([*FOUND, (1.0, 0, 1100), (2.0, 1, 210)], "came to {0: 1100, 1: 210}"),
    ],
)
def test_what_is_no_backlog_is_no_figure(changes: list[Change], told: str) -> None:
    with pytest.raises(MeasurementError, match=told):
        saturated(changes, HELD, ENDS)


def test_commits_that_were_seen_at_once_are_no_window() -> None:
    with pytest.raises(MeasurementError, match="not later to"):
        saturated([(0.0, 0, 100), (1.0, 0, 101), (1.0, 0, 1100)], {0: 100}, {0: 1100})


def test_a_reading_is_visible_once_the_ledger_has_passed_its_offset() -> None:
    changes = [(10.0, 0, 5), (10.0, 1, 50), (11.0, 0, 7), (12.0, 1, 60), (13.0, 0, 9)]
    readings = [(10.1, 0, 5), (10.2, 0, 6), (10.5, 0, 7), (10.0, 1, 59)]
    assert latencies(readings, changes) == pytest.approx([0.9, 0.8, 2.5, 2.0])


@pytest.mark.parametrize("reading", [(9.0, 0, 4), (10.0, 0, 9), (10.0, 3, 0)])
def test_what_nobody_saw_becoming_visible_is_an_error(reading: tuple[float, int, int]) -> None:
    with pytest.raises(MeasurementError, match="while nobody watched"):
        latencies([reading], [(10.0, 0, 5), (11.0, 0, 7), (13.0, 0, 9)])


@given(
    st.lists(st.tuples(st.floats(0.01, 5), st.integers(1, 50)), min_size=1, max_size=20),
    st.integers(0, 1_000_000),
)
def test_latencies_are_those_of_a_simulated_job(batches: list[tuple[float, int]], start: int) -> None:
    """A job that commits batches of so many messages after so many seconds each."""
    moment, offset = 0.0, start
    changes: list[Change] = [(moment, 2, offset)]
    readings, expected = [], []
    for seconds, count in batches:
        begun, moment = moment, moment + seconds
        readings += [(begun, 2, offset + number) for number in range(count)]
        expected += [seconds] * count
        offset += count
        changes.append((moment, 2, offset))
    assert latencies(readings, reversed(changes)) == pytest.approx(expected)


def test_the_first_commit_after_a_moment() -> None:
    changes = [(3.0, 0, 3), (1.0, 0, 1), (2.0, 0, 2)]
    assert first_change(changes, 1.0) == 2.0
    assert first_change(changes, 3.0) is None


def test_periods_follow_one_another_and_share_no_reading() -> None:
    first, second = spans(10.0, 60.0, 2)
    readings = [(9.9, 0, 1), (10.0, 0, 2), (69.9, 0, 3), (70.0, 0, 4), (130.0, 0, 5)]
    assert within(readings, first) == [(10.0, 0, 2), (69.9, 0, 3)]
    assert within(readings, second) == [(70.0, 0, 4)]
