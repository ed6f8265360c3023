"""The sender of who can send again: a key without progress gets a new client, whatever the others do."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import threading

from kafka_stand_in import Future
from prometheus_client import CollectorRegistry

from millrace_common.delivery import Delivery
from millrace_common.producer import Sender
from millrace_common.watch import STALL_S


class Client:
    """Keeps what it is given; closing it fails what is pending."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Future]] = []
        self.closed = False

    def send(self, topic: str, value: bytes, key: bytes) -> Future:
        assert (topic, value) == ("t", b"v")
        self.sent.append((key, Future()))
        return self.sent[-1][1]

    def flush(self, timeout: float) -> None:
        assert timeout < 1, "a client that is stuck is not waited for"

    def close(self, timeout: float) -> None:
        assert timeout < 1
        self.closed = True


def test_one_key_without_progress_is_enough() -> None:
    now, clients = [0.0], [Client()]
    delivery = Delivery(CollectorRegistry(), "test")

    def connect() -> Client:
        clients.append(Client())
        return clients[-1]

    sender = Sender("t", delivery, threading.Event(), connect, lambda: now[0])
    clients.clear()
    sender.send(b"stuck", b"v")
    while now[0] < STALL_S - 1:
        now[0] += 1
        sender.send(b"busy", b"v")
        clients[0].sent[-1][1].succeed()
        assert not sender.give_up_if_stalled()
    now[0] += 1
    assert sender.give_up_if_stalled()
    assert clients[0].closed
    sender.send(b"stuck", b"v")
    assert [len(client.sent) for client in clients] == [1 + int(STALL_S) - 1, 1]
    clients[1].sent[0][1].succeed()
    now[0] += 100
    assert not sender.give_up_if_stalled(), "nothing is in flight"


def test_sending_looks_too() -> None:
    now, clients = [0.0], [Client(), Client()]
    waiting = list(reversed(clients))
    sender = Sender(
        "t", Delivery(CollectorRegistry(), "test"), threading.Event(), waiting.pop, lambda: now[0]
    )
    sender.send(b"stuck", b"v")
    now[0] = STALL_S
    sender.send(b"other", b"v")
    assert (clients[0].closed, [key for key, _ in clients[1].sent]) == (True, [b"other"])
