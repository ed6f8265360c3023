"""A process that takes numbers until it is killed: `durable_process.py FOLDER FIRST COUNT`.

It prints each group's last number once it is taken. Its Kafka is a file, to which a line is appended for each
message that arrives; each one is acknowledged a little later, so that a kill falls in between.
"""
# ruff: noqa: D102, D107 - the methods are those of what they stand for

from __future__ import annotations

import os
import queue
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_stand_in import TOPIC, Future
from prometheus_client import CollectorRegistry

from millrace_common.buffer import Buffer, BufferSettings
from millrace_common.durable import DurableProducer

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = 3


class FileClient:
    """Delivers in order, from a thread of its own."""

    def __init__(self, log: Path) -> None:
        self.abandoned = False
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._sent: queue.SimpleQueue[tuple[bytes, bytes, Future]] = queue.SimpleQueue()
        threading.Thread(target=self._deliver, daemon=True).start()

    def lane(self, key: bytes) -> int:
        return key[0]

    def send(self, key: bytes, value: bytes, lane: int) -> Future:
        assert lane == self.lane(key)
        future = Late()
        self._sent.put((key, value, future))
        return future

    def abandon(self) -> None:
        self.abandoned = True

    def _deliver(self) -> None:
        before: Future | None = None
        while not self.abandoned:
            try:
                key, value, future = self._sent.get(timeout=0.02)
            except queue.Empty:
                if before is not None:
                    before.succeed()
                before = None
                continue
            os.write(self._log, key + b" " + value + b"\n")
            if before is not None:
                before.succeed()
            before = future


class Late(Future):
    """Takes a callback also from another thread than that which succeeds."""

    def __init__(self) -> None:
        super().__init__()
        self._ready = threading.Event()

    def add_errback(self, call: Callable[[BaseException], None]) -> None:
        super().add_errback(call)
        self._ready.set()  # the last that a forwarder does with it

    def succeed(self) -> None:
        assert self._ready.wait(30)
        super().succeed()


def main() -> None:
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    stop = threading.Event()
    with Buffer(BufferSettings(str(folder / "buffer.sqlite"))) as buffer:
        producer = DurableProducer(
            buffer, {TOPIC: lambda: FileClient(folder / "log")}, CollectorRegistry(), "test"
        )
        producer.start()
        for number in range(first, first + count, 2):
            group = [(b"%d" % (n % KEYS), b"%d" % n) for n in (number, number + 1)]
            assert producer.put(TOPIC, group, stop)
            sys.stdout.write(f"{number + 1}\n")
            sys.stdout.flush()
        producer.drain(stop)
        producer.finish()


if __name__ == "__main__":
    main()
