"""The sender over the buffer, with a Kafka that loses answers, stalls, refuses and goes away."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.errors import (  # type: ignore[import-untyped] # kafka-python has no type hints
    InvalidRecordError,
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from kafka_stand_in import FATAL, LANES, TOPIC, TRANSIENT, Bench, Kafka, StandIn, first_times

from millrace_common.buffer import Buffer
from millrace_common.forwarder import IN_FLIGHT, TOPIC_PATIENCE_S
from millrace_common.watch import STALL_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GO = threading.Event()
MUCH = 1 << 30


def bench(folder: Path, kafka: Kafka | None = None) -> Bench:
    return Bench(folder / "buffer.sqlite", kafka)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Bench]:
    made = bench(tmp_path)
    yield made
    made.buffer.close()


def numbers(first: int, count: int, key: bytes = b"a") -> list[tuple[bytes, bytes]]:
    return [(key, b"%d" % (first + i)) for i in range(count)]


def test_what_kafka_acknowledged_is_forgotten_and_nothing_else(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, 4), GO)
    one.steps()
    lane = one.kafka.client.lane(b"a")
    one.kafka.client.deliver(lane, 3)
    one.steps()
    assert [row.value for row in one.buffer.rows(TOPIC, 0, 9, MUCH)] == [b"3"]
    assert one.value("acknowledged_total") == 3
    one.steps(seconds=STALL_S - 1)
    assert len(one.kafka.clients) == 1
    assert one.value("resent_total") == 0


def test_what_an_earlier_process_left_is_sent_first(tmp_path: Path) -> None:
    before = bench(tmp_path)
    before.buffer.put(TOPIC, numbers(0, 3), GO)
    before.steps()
    before.kafka.client.deliver(before.kafka.client.lane(b"a"), 2, answered=False)  # it dies unanswered
    before.buffer.close()
    after = bench(tmp_path, before.kafka)
    after.buffer.put(TOPIC, numbers(3, 2), GO)
    after.settle()
    assert [value for _, value in after.kafka.log] == [b"0", b"0", b"1", b"2", b"3", b"4"]
    after.buffer.close()


def test_a_lane_that_stalls_gets_a_new_client_while_the_other_is_busy(one: Bench) -> None:
    one.buffer.put(TOPIC, [*numbers(0, 2, b"a"), *numbers(10, 2, b"b")], GO)
    one.steps()
    (old,) = one.kafka.clients
    old.stalled = {old.lane(b"a")}
    for second in range(int(STALL_S)):
        assert one.kafka.clients == [old]
        one.buffer.put(TOPIC, numbers(20 + second, 1, b"b"), GO)
        one.steps(seconds=1)
        old.everything()
    one.steps()
    assert len(one.kafka.clients) == 2
    assert old.abandoned
    one.settle()
    assert first_times(one.kafka.log)[b"a"] == [b"0", b"1"]
    assert one.value("client_replacements_total", reason="stalled") == 1
    assert one.value("resent_total") == 3, "the two, and the busy lane's last one"


def test_a_client_that_comes_back_while_another_one_is_made_is_kept(one: Bench) -> None:
    made: list[Callable[[], None]] = []
    one.forwarder._beside = made.append  # noqa: SLF001 - the other thread, by hand
    one.buffer.put(TOPIC, numbers(0, 2), GO)
    one.steps()
    made.pop()()
    one.steps()
    old = one.kafka.client
    one.steps(seconds=STALL_S)
    old.everything()
    one.steps()
    made.pop()()
    one.steps()
    assert (old.abandoned, one.kafka.client.abandoned) == (False, True)
    one.buffer.put(TOPIC, numbers(2, 1), GO)
    one.steps()
    old.everything()
    assert [value for _, value in one.kafka.log] == [b"0", b"1", b"2"]


def test_nothing_overtakes_a_message_that_failed(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, 5), GO)
    one.steps()
    old, lane = one.kafka.client, one.kafka.client.lane(b"a")
    old.deliver(lane)
    old.fail(lane, NotLeaderForPartitionError())
    assert old.abandoned, "in the client's own thread, before it can send the next one"
    one.settle()
    assert [value for _, value in one.kafka.log] == [b"0", b"1", b"2", b"3", b"4"]
    assert one.value("client_replacements_total", reason="failed") == 1


def test_an_acknowledgement_that_comes_late_from_an_old_client_counts(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, 2), GO)
    one.steps()
    old, lane = one.kafka.client, one.kafka.client.lane(b"a")
    one.kafka.down = TRANSIENT
    old.lanes[lane][1][2].fail(TRANSIENT)  # the second message; the first is on its way
    one.steps()
    old.deliver(lane)
    one.steps()
    assert (one.buffer.waiting, one.value("resent_total")) == (1, 0)
    one.kafka.down = None
    one.settle()
    assert [value for _, value in one.kafka.log] == [b"0", b"1"]


@pytest.mark.parametrize(
    "error", [MessageSizeTooLargeError(), InvalidRecordError("no"), InvalidRecordError(None)]
)
def test_what_kafka_refuses_for_good_is_put_aside_and_blocks_nobody(
    one: Bench, tmp_path: Path, error: Exception
) -> None:
    one.kafka.refuses[b"3"] = error
    one.buffer.put(TOPIC, [*numbers(0, 6), *numbers(10, 3, b"b")], GO)
    one.settle()
    assert first_times(one.kafka.log) == {
        b"a": [b"0", b"1", b"2", b"4", b"5"],
        b"b": [b"10", b"11", b"12"],
    }, "the others, which failed with the same error, are there"
    assert (one.buffer.refused, one.value("refused_total")) == (1, 1)
    one.buffer.close()
    with sqlite3.connect(tmp_path / "buffer.sqlite") as file:
        rows = file.execute("SELECT topic, key, value, reason FROM refused").fetchall()
    file.close()
    assert rows == [(TOPIC, b"a", b"3", f"{type(error).__name__}: {error}")]


def test_the_clients_own_limit_refuses_too(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = StandIn.send

    def limited(self: StandIn, key: bytes, value: bytes, lane: int) -> object:
        if len(value) > 5:
            raise MessageSizeTooLargeError
        return real(self, key, value, lane)

    monkeypatch.setattr(StandIn, "send", limited)
    one.buffer.put(TOPIC, [(b"a", b"1"), (b"a", b"x" * 6), (b"a", b"2")], GO)
    one.settle()
    assert [value for _, value in one.kafka.log] == [b"1", b"2"]
    assert one.buffer.refused == 1
    assert len(one.kafka.clients) == 1


def test_a_topic_that_comes_within_a_minute_is_waited_for(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, 3), GO)
    one.kafka.down = UnknownTopicOrPartitionError(TOPIC)
    one.steps(seconds=1)
    one.steps(seconds=TOPIC_PATIENCE_S - 1)
    assert (one.buffer.waiting, one.buffer.refused) == (3, 0)
    one.kafka.down = None
    one.settle()
    assert len(one.kafka.log) == 3


def test_a_topic_that_stays_away_is_a_refusal(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, 3), GO)
    one.kafka.down = UnknownTopicOrPartitionError(TOPIC)
    one.steps(seconds=1)
    one.steps(seconds=TOPIC_PATIENCE_S)
    assert (one.buffer.waiting, one.buffer.refused) == (0, 3)
    one.kafka.down = None
    one.buffer.put(TOPIC, numbers(3, 1), GO)
    one.settle()
    assert [value for _, value in one.kafka.log] == [b"3"], "and it goes on"


def test_no_right_is_a_refusal_after_a_minute_and_an_outage_never(one: Bench) -> None:
    one.kafka.down = KafkaConnectionError("nobody there")
    one.buffer.put(TOPIC, numbers(0, 2), GO)
    for _ in range(20):
        one.steps(seconds=100)
    assert one.buffer.waiting == 2
    one.kafka.down = None
    one.kafka.refuses = {value: TopicAuthorizationFailedError(TOPIC) for _, value in numbers(0, 2)}
    before = one.now
    while one.buffer.waiting:
        one.steps(seconds=1)
        if one.kafka.clients:
            one.kafka.client.everything()
        assert one.now < before + 2 * TOPIC_PATIENCE_S
    assert one.now >= before + TOPIC_PATIENCE_S
    assert (one.kafka.log, one.buffer.refused) == ([], 2)


def test_clients_are_not_made_all_the_time_when_nothing_helps(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, 1), GO)
    for _ in range(600):
        one.steps(1, 0.1)
        if one.kafka.clients and not one.kafka.client.abandoned:
            one.kafka.client.fail(one.kafka.client.lane(b"a"), TRANSIENT)
    assert 20 <= len(one.kafka.clients) <= 32, "a minute of failures, two seconds apart"


def test_the_window_is_bounded_by_count_and_bytes(one: Bench) -> None:
    one.buffer.put(TOPIC, numbers(0, IN_FLIGHT + 5), GO)
    one.steps()
    assert sum(map(len, one.kafka.client.lanes.values())) == IN_FLIGHT
    one.settle()
    one.buffer.put(TOPIC, [(b"a", b"x" * 900_000) for _ in range(20)], GO)
    one.steps()
    assert sum(map(len, one.kafka.client.lanes.values())) == 10


def test_a_disk_that_is_full_stops_neither_sending_nor_the_loop(
    one: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Buffer.forget
    one.buffer.put(TOPIC, numbers(0, 2), GO)

    def full(*_: object) -> int:
        message = "database or disk is full"
        raise sqlite3.OperationalError(message)

    monkeypatch.setattr(Buffer, "forget", full)
    one.steps()
    one.kafka.client.everything()
    one.steps()
    one.buffer.put(TOPIC, numbers(2, 1), GO)
    one.steps()
    one.kafka.client.everything()
    assert [value for _, value in one.kafka.log] == [b"0", b"1", b"2"]
    monkeypatch.setattr(Buffer, "forget", real)
    one.steps()
    assert one.buffer.waiting == 0


def test_a_broker_that_takes_nothing_is_asked_again(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = StandIn.send
    answers: list[Exception] = [KafkaTimeoutError(), KafkaConnectionError()]

    def send(self: StandIn, key: bytes, value: bytes, lane: int) -> object:
        if answers:
            raise answers.pop()
        return real(self, key, value, lane)

    monkeypatch.setattr(StandIn, "send", send)
    one.buffer.put(TOPIC, numbers(0, 2), GO)
    one.settle()
    assert [value for _, value in one.kafka.log] == [b"0", b"1"]


def test_a_client_that_takes_nothing_is_replaced_too(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = StandIn.lane

    def lane(self: StandIn, key: bytes) -> int:
        if self is one.kafka.clients[0]:
            raise KafkaTimeoutError  # it has lost the topic's partitions, and learns nothing new
        return real(self, key)

    monkeypatch.setattr(StandIn, "lane", lane)
    one.buffer.put(TOPIC, numbers(0, 2), GO)
    one.steps()
    one.steps(seconds=STALL_S - 1)
    assert len(one.kafka.clients) == 1
    one.settle()
    assert len(one.kafka.clients) == 2
    assert [value for _, value in one.kafka.log] == [b"0", b"1"]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3)),
        st.tuples(
            st.sampled_from(["deliver", "unanswered", "transient", "fatal", "stall", "late"]),
            st.integers(0, 9),
        ),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 9, 20])),
        st.tuples(st.sampled_from(["down", "up", "restart", "step"]), st.just(0)),
    ),
    min_size=5,
    max_size=60,
)


def act(one: Bench, kind: str, number: int, taken: int) -> None:
    kafka = one.kafka
    if kind == "put":
        messages = [(b"abcd"[number : number + 1], b"%d" % (taken + i)) for i in range(number + 1)]
        one.buffer.put(TOPIC, messages, GO)
    elif kind in {"down", "up"}:
        kafka.down = KafkaConnectionError("down") if kind == "down" else None
    elif kind == "wait":
        one.steps(2, number)
    elif kind == "step":
        one.steps(1)
    elif kafka.clients:
        # "late": a client that was given up still gets through with what it has, in its order.
        lane, client = number % LANES, kafka.clients[0 if kind == "late" else -1]
        if kind in {"deliver", "late"}:
            client.deliver(lane, 1 + number // 2)
        elif client.abandoned or not client.lanes[lane]:
            return
        elif kind == "unanswered":
            client.deliver(lane, 1, answered=False)
        elif kind == "stall":
            client.stalled.add(lane)
        else:
            client.fail(lane, TRANSIENT if kind == "transient" else FATAL)


@settings(max_examples=150, deadline=None)
@given(actions=ACTIONS, refused=st.sets(st.integers(0, 30), max_size=3))
def test_whatever_happens_all_arrive_in_order_of_their_keys(
    actions: list[tuple[str, int]], refused: set[int]
) -> None:
    kafka = Kafka()
    kafka.refuses = {b"%d" % number: InvalidRecordError("no") for number in refused}
    expected: dict[bytes, list[bytes]] = {}
    taken = 0
    with TemporaryDirectory() as folder:
        one = bench(Path(folder), kafka)
        for kind, number in actions:
            if kind == "restart":
                for client in kafka.clients:
                    client.abandoned = True
                one.buffer.close()
                one = bench(Path(folder), kafka)
                continue
            act(one, kind, number, taken)
            if kind == "put":
                for i in range(number + 1):
                    if taken + i not in refused:
                        expected.setdefault(b"abcd"[number : number + 1], []).append(b"%d" % (taken + i))
                taken += number + 1
        kafka.down = None
        one.settle()
        assert first_times(kafka.log) == expected
        assert one.buffer.refused == len([number for number in refused if number < taken])
        one.buffer.close()
