"""The watch over messages in flight, against what one would find by going through all that happened."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_common.watch import Watch

STALL, LONGEST = 8.0, 64.0


def test_a_lane_without_progress_is_seen_while_another_one_is_busy() -> None:
    watch: Watch[int] = Watch(STALL, LONGEST)
    watch.handed(0, 0.0)
    for second in range(20):
        watch.handed(1, second)
        watch.answered(1, second + 0.5)
        assert watch.stalled(second + 0.5) == ([0] if second + 0.5 >= STALL else [])


def test_a_new_client_gets_time_of_its_own_and_more_where_the_last_one_did_not_help() -> None:
    watch: Watch[int] = Watch(STALL, LONGEST)
    now, waits = 0.0, []
    for _ in range(6):
        watch.handed(0, now)
        begin = now
        while not watch.stalled(now):
            now += 1
        waits.append(now - begin)
        watch.restarted(now)
        assert not watch.stalled(now + 1000), "nothing is in flight"
    assert waits == [8, 16, 32, 64, 64, 64]
    watch.handed(0, now)
    watch.answered(0, now + 1)
    watch.handed(0, now + 1)
    assert (watch.stalled(now + 8.9), watch.stalled(now + 9)) == ([], [0])


EVENTS = st.lists(
    st.tuples(st.sampled_from(["handed", "answered"]), st.integers(0, 2), st.floats(0, 6)), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(events=EVENTS)
def test_it_is_stalled_if_and_only_if_nothing_came_of_what_waits_for_that_long(
    events: list[tuple[str, int, float]],
) -> None:
    watch: Watch[int] = Watch(STALL, LONGEST)
    now = 0.0
    seen: list[tuple[str, int, float]] = []
    for kind, lane, pause in events:
        now += pause
        waiting = sum(1 if was == "handed" else -1 for was, where, _ in seen if where == lane)
        if kind == "handed":
            watch.handed(lane, now)
        elif waiting:
            watch.answered(lane, now)
        else:
            continue
        seen.append((kind, lane, now))
        expected = []
        for one in sorted({where for _, where, _ in seen}):
            count, since = 0, 0.0
            for was, where, then in seen:
                if where == one:
                    since = then if was == "answered" or count == 0 else since
                    count += 1 if was == "handed" else -1
            if count and now - since >= STALL:
                expected.append(one)
        assert sorted(watch.stalled(now)) == expected
