"""The whole of it: real threads, a real file, and processes that are killed with -9."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import durable_process
import pytest
from kafka.errors import KafkaConnectionError, KafkaError  # type: ignore[import-untyped] # kafka-python has no type hints
from kafka_stand_in import TOPIC, Kafka, StandIn, first_times
from prometheus_client import CollectorRegistry

from millrace_common.buffer import Buffer, BufferSettings
from millrace_common.durable import DurableProducer
from millrace_common.http import HealthServer, HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable

GO = threading.Event()
KILLS = 6


def run_process(folder: Path, first: int, count: int, kill_after: int | None) -> int:
    """Run the process, killed with -9 once it has printed so many lines; return its last number."""
    here = [str(Path(durable_process.__file__).parent), *sys.path]
    argv = [sys.executable, durable_process.__file__, str(folder), str(first), str(count)]
    last = first - 1
    with subprocess.Popen(  # noqa: S603 - our own argv
        argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(here)}
    ) as process:
        assert process.stdout is not None
        for lines, line in enumerate(process.stdout, 1):
            last = int(line)
            if lines == kill_after:
                process.kill()  # what it had printed until then is still read
    assert process.returncode == (0 if kill_after is None else -9)
    return last


def test_processes_that_are_killed_lose_nothing_and_keep_the_order(tmp_path: Path) -> None:
    chance = random.Random(18)  # noqa: S311 - a test's choice
    last = -1
    for _ in range(KILLS):
        last = run_process(tmp_path, last + 1, 100_000, chance.randint(1, 60))
    # The next number once more, as it may have been taken and not printed: that makes it a repeated one.
    last = run_process(tmp_path, last + 1, 10, None)
    lines = (tmp_path / "log").read_bytes().splitlines()
    log = [(line.split()[0], line.split()[1]) for line in lines]
    assert len(log) > len(set(log)), "no kill fell between a delivery and its acknowledgement"
    for key, values in first_times(log).items():
        assert values == [b"%d" % number for number in range(int(key), last + 1, durable_process.KEYS)]


def make(
    path: Path, connect: Callable[[], StandIn], registry: CollectorRegistry | None = None
) -> DurableProducer:
    buffer = Buffer(BufferSettings(str(path / "buffer.sqlite"), max_messages=5))
    return DurableProducer(buffer, {TOPIC: connect}, registry or CollectorRegistry(), "test")


def nobody() -> StandIn:
    message = "nobody there"
    raise KafkaConnectionError(message)


def test_a_stop_needs_no_kafka(tmp_path: Path) -> None:
    producer = make(tmp_path, nobody)
    producer.start()
    producer.put(TOPIC, [(b"a", b"1")], GO)
    producer.finish()
    producer._buffer.close()  # noqa: SLF001 - the test made it there
    kafka = Kafka()
    again = make(tmp_path, kafka.connect)
    again.start()
    while not (kafka.clients and kafka.client.lanes[kafka.client.lane(b"a")]):
        pass
    kafka.client.everything()
    again.drain(threading.Event())
    again.finish()
    assert kafka.log == [(b"a", b"1")]
    again._buffer.close()  # noqa: SLF001 - as above


def test_health_and_metrics_tell_what_an_operator_needs(tmp_path: Path) -> None:
    registry, now = CollectorRegistry(), [1000.0]
    buffer = Buffer(BufferSettings(str(tmp_path / "buffer.sqlite"), max_messages=3), lambda: now[0])
    producer = DurableProducer(buffer, {TOPIC: nobody}, registry, "test", 15)
    with HealthServer(HttpSettings(0), registry) as server:
        producer.add_to(server)
        assert server.health()[1]["checks"] == {"kafka": "ok"}
        producer.put(TOPIC, [(b"a", b"1"), (b"a", b"2")], GO)
        now[0] += 15
        assert producer.check() is None
        now[0] += 1
        assert producer.check() == "the oldest message has waited 16 s for Kafka (2 wait)"
        stopped = threading.Event()
        stopped.set()
        assert not producer.put(TOPIC, [(b"a", b"1"), (b"a", b"2")], stopped)
        assert producer.check() == (
            f"the source waits: the buffer is full: 2 messages wait, 0 are refused, {buffer.bytes} bytes"
        )
        names = ("messages", "refused_messages", "oldest_age_seconds", "full", "accepted_messages")
        assert [registry.get_sample_value(f"test_buffer_{name}") for name in names] == [2, 0, 16, 1, 2]
        buffer.refuse(buffer.ids(TOPIC)[:1], "too large")
        assert server.health()[1]["details"] == {"refused": "1 messages: docs/producers.md"}
    buffer.close()


def test_what_ends_a_sender_ends_its_process(tmp_path: Path) -> None:
    def no_file() -> StandIn:
        message = "ca.crt"
        raise FileNotFoundError(message)

    producer = make(tmp_path, no_file)
    producer.start()
    for thread in producer._threads:  # noqa: SLF001 - to wait for its end
        thread.join(30)
    with pytest.raises(FileNotFoundError):
        producer.put(TOPIC, [(b"a", b"1")], GO)
    assert producer.check() == "a sender has ended: FileNotFoundError('ca.crt')"
    producer.finish()
    producer._buffer.close()  # noqa: SLF001 - the test made it there


def test_another_topic_is_an_error_of_the_caller(tmp_path: Path) -> None:
    producer = make(tmp_path, nobody)
    with pytest.raises(KeyError):
        producer.put("other", [(b"a", b"1")], GO)
    producer._buffer.close()  # noqa: SLF001 - the test made it there
    assert issubclass(KafkaConnectionError, KafkaError)
