"""The generator's loop with a fake clock (schedule, lateness, stop), and the service with a fake Kafka."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as rounds
from hypothesis import strategies as st
from kafka.errors import KafkaConnectionError  # type: ignore[import-untyped] # kafka-python has no type hints
from kafka_stand_in import Future
from prometheus_client import CollectorRegistry
from sensors_oracle.reference import Reading, judge

from millrace_common import service
from millrace_common.buffer import Buffer, BufferSettings
from millrace_common.config import parse_config
from sensors_contract.readings import format_time, from_micros
from sensors_generator import app, cli
from sensors_generator.app import Generator
from sensors_generator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1_795_287_600_000_000  # 2026-11-21T19:00:00Z
SECOND = 1_000_000
CONFIG = {
    "kafka": {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"},
    "http": {"port": 0},
    "buffer": {"path": "/absent/buffer.sqlite"},
}


class Clock(threading.Event):
    """A stop event whose waiting moves the clock instead of taking time; microseconds."""

    def __init__(self, jumps: dict[int, int] | None = None, stop_at: int | None = None) -> None:
        super().__init__()
        self.now = START
        self.jumps, self.stop_at = jumps or {}, stop_at
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.now += round(timeout * SECOND) + self.jumps.get(self.waits, 0)
        self.waits += 1
        assert self.waits < 10_000, "the loop doesn't end"
        if self.waits == self.stop_at:
            self.set()
        return self.is_set()


class Taken:
    """Stands for the buffer: keeps what is taken, each call after as many microseconds as `delays` says."""

    def __init__(self, clock: Clock, delays: dict[int, int] | None = None) -> None:
        self.clock, self.delays = clock, delays or {}
        self.groups: list[list[tuple[bytes, bytes]]] = []

    def take(self, group: list[tuple[bytes, bytes]]) -> bool:
        self.clock.now += self.delays.get(len(self.groups), 0)
        if self.clock.is_set():
            return False
        self.groups.append(group)
        return True

    @property
    def messages(self) -> list[tuple[bytes, bytes]]:
        return list(itertools.chain.from_iterable(self.groups))

    def times(self) -> list[str]:
        return [json.loads(value)["timestamp"][17:23] for _, value in self.messages]


def run(
    clock: Clock, taken: Taken, registry: CollectorRegistry | None = None, **changes: object
) -> Generator:
    settings = parse_config(CONFIG | changes, Settings)
    generator = Generator(settings, clock, registry or CollectorRegistry(), taken.take, lambda: clock.now)
    generator.run()
    return generator


def test_takes_each_sensor_at_each_tick_until_the_limit() -> None:
    clock = Clock()
    taken = Taken(clock)
    run(clock, taken, limit=7)
    assert [key for key, _ in taken.messages[:3]] == [b"temperature-1", b"pressure-1", b"voltage-1"]
    assert [len(group) for group in taken.groups] == [3, 3, 1], "a commit a tick"
    assert taken.times() == [*["00.200"] * 3, *["00.400"] * 3, "00.600"]


def test_who_is_late_makes_up_for_every_tick_in_one_group(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock, registry = Clock({1: 11_050_000}), CollectorRegistry()
    taken = Taken(clock)
    run(clock, taken, registry, count=1, limit=60)
    assert taken.times() == [f"{tick // 5:02}.{tick % 5 * 2}00" for tick in range(1, 61)]
    assert [len(group) for group in taken.groups[:4]] == [1, 56, 1, 1]
    assert "making up for missed ticks" in caplog.messages
    assert "all missed ticks are made up for" in caplog.messages
    assert registry.get_sample_value("sensors_generator_late_ticks_total") == 56
    assert registry.get_sample_value("sensors_generator_readings_total") == 60
    assert registry.get_sample_value("sensors_generator_first_tick_timestamp_seconds") == START / SECOND + 0.2
    assert registry.get_sample_value("sensors_generator_last_tick_timestamp_seconds") == START / SECOND + 12


def test_a_group_is_bounded() -> None:
    clock = Clock({1: 3600 * SECOND})
    taken = Taken(clock)
    run(clock, taken, count=1, limit=5000)
    assert max(map(len, taken.groups)) == app.GROUP
    assert len(set(taken.messages)) == 5000


def test_a_buffer_that_lets_wait_leaves_nothing_out_and_is_told() -> None:
    clock = Clock()
    taken = Taken(clock, {2: 30 * SECOND})
    registry = CollectorRegistry()
    generator = Generator(
        parse_config(CONFIG | {"count": 1, "limit": 160}, Settings),
        clock,
        registry,
        lambda group: seen.append(generator.check()) or taken.take(group),  # type: ignore[func-returns-value] # both are wanted
        lambda: clock.now,
    )
    seen: list[str | None] = []
    generator.run()
    assert taken.times() == [f"{tick // 5:02}.{tick % 5 * 2}00" for tick in range(1, 161)]
    assert seen[:3] == [None, None, None]
    assert seen[3] == "the next tick is 30 s late"
    assert seen[-1] is None


def test_a_stop_while_the_buffer_lets_wait_ends_it() -> None:
    clock = Clock(stop_at=4)
    taken = Taken(clock)
    run(clock, taken)
    assert len(taken.groups) == 3


@rounds(max_examples=60, deadline=None)
@given(
    jumps=st.dictionaries(st.integers(0, 40), st.integers(0, 9 * SECOND), max_size=3),
    delays=st.dictionaries(st.integers(0, 40), st.integers(0, 9 * SECOND), max_size=3),
    interval_ms=st.sampled_from([33.3, 200.0, 5000.0]),
    count=st.integers(1, 3),
)
def test_every_tick_while_it_ran_is_taken_once(
    jumps: dict[int, int], delays: dict[int, int], interval_ms: float, count: int
) -> None:
    clock = Clock(jumps, stop_at=60)
    taken, registry = Taken(clock, delays), CollectorRegistry()
    run(clock, taken, registry, interval_ms=interval_ms, count=count)
    interval = round(interval_ms * 1000)
    first = (START // interval + 1) * interval
    last = registry.get_sample_value("sensors_generator_last_tick_timestamp_seconds")
    assert last is not None
    ticks = range(first, round(last * SECOND) + 1, interval)
    found = [(key, json.loads(value)["timestamp"]) for key, value in taken.messages]
    assert len(found) == len(set(found)) == len(ticks) * count
    assert [moment for _, moment in found[::count]] == [format_time(tick) for tick in ticks]


@pytest.mark.parametrize("interval_ms", [200, 1.001])
def test_the_oracle_takes_whatever_is_sent_for_a_reading(interval_ms: float) -> None:
    clock = Clock()
    taken = Taken(clock)
    run(clock, taken, count=6, limit=600, anomaly_share=0.5, interval_ms=interval_ms)
    judged = [judge(value, from_micros(clock.now)) for _, value in taken.messages]
    assert [one.sensor_id for one in judged if isinstance(one, Reading)] == [
        key.decode() for key, _ in taken.messages
    ]
    assert len({one.identity for one in judged if isinstance(one, Reading)}) == 600


class Instant:
    """A client whose every message is acknowledged at once."""

    def __init__(self) -> None:
        self.abandoned = False
        self.log: list[tuple[bytes, bytes]] = []

    def lane(self, key: bytes) -> int:
        return key[0]

    def send(self, key: bytes, value: bytes, lane: int) -> Future:
        assert lane == self.lane(key)
        self.log.append((key, value))
        return Done()

    def abandon(self) -> None:
        self.abandoned = True


class Done(Future):
    """Is acknowledged already."""

    def add_callback(self, call: Callable[[object], None]) -> None:
        call(None)


def service_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, connect: Callable[[], Instant], **changes: object
) -> list[str]:
    """Return the command line of a service whose Kafka is `connect`'s."""
    monkeypatch.setattr(cli, "run", partial(app.run, clients_of=lambda settings: {settings.topic: connect}))
    monkeypatch.setattr(service, "setup_logging", lambda _: None)
    path = folder / "config.json"
    buffer = {"path": str(folder / "buffer.sqlite")}
    path.write_text(json.dumps(CONFIG | {"buffer": buffer} | changes), encoding="utf-8")
    return ["--config", str(path)]


def test_the_service_runs_to_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = Instant()
    command = service_at(tmp_path, monkeypatch, lambda: client, limit=6, interval_ms=1)
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    assert cli.main([*command, "--check"]) == 0
    assert not (tmp_path / "buffer.sqlite").exists(), "a check touches nothing"
    assert cli.main(command) == 0
    assert len(client.log) == 6
    assert client.abandoned


def test_a_stop_without_kafka_leaves_the_readings_to_the_next_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody() -> Instant:
        raise KafkaConnectionError

    command = service_at(tmp_path, monkeypatch, nobody, interval_ms=1)
    monkeypatch.setattr(service, "stop_on_signals", lambda: Clock(stop_at=5))
    assert cli.main(command) == 0
    with sqlite3.connect(tmp_path / "buffer.sqlite") as file:
        left = file.execute("SELECT key, value FROM waiting ORDER BY id").fetchall()
    file.close()
    assert left
    client = Instant()
    command = service_at(tmp_path, monkeypatch, lambda: client, limit=1, interval_ms=1)
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    assert cli.main(command) == 0
    assert client.log[:-1] == left, "first what was left"
    assert len(client.log) == len(left) + 1


def test_a_buffer_that_cannot_be_opened_ends_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = service_at(tmp_path, monkeypatch, Instant)
    (tmp_path / "buffer.sqlite").write_bytes(b"something else " * 500)
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    assert cli.main(command) == 1


def test_wrong_settings_end_with_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"http": {"port": 99999}}')
    assert cli.main(["--config", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: kafka: is missing; it has no default",
        f"{path}: http.port: expected at most 65535, got 99999",
        f"{path}: buffer: is missing; it has no default",
    ]


def test_refused_readings_are_listed_sent_again_or_deleted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = service_at(tmp_path, monkeypatch, Instant)
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    assert cli.refused(command) == 1
    assert capsys.readouterr().err == f"{tmp_path}/buffer.sqlite: there is no buffer yet\n"
    with Buffer(BufferSettings(str(tmp_path / "buffer.sqlite")), lambda: START / SECOND) as buffer:
        buffer.put("t", [(b"a", b"1"), (b"a", b"2"), (b"a", b"3")], threading.Event())
        buffer.refuse(buffer.ids("t")[:2], "NoRight: t")
        assert cli.refused(command) == 0
        line = "t: 2 messages, the last at 2026-11-21T19:00:00+00:00: NoRight: t\n"
        assert capsys.readouterr().out == line
        for option in ("--again", "--drop"):
            assert cli.refused([*command, option]) == 1
            assert capsys.readouterr().err.endswith(
                "another process uses this buffer: stop the service first\n"
            )
    assert cli.refused([*command, "--again"]) == 0
    assert capsys.readouterr().out == f"to be sent again: {line}"
    with Buffer(BufferSettings(str(tmp_path / "buffer.sqlite"))) as buffer:
        assert [row.value for row in buffer.rows("t", 0, 9, 999)] == [b"3", b"1", b"2"]
        assert (buffer.waiting, buffer.refused) == (3, 0)
        buffer.refuse(buffer.ids("t"), "NoRight: t")
    assert cli.refused([*command, "--drop"]) == 0
    assert capsys.readouterr().out.startswith("deleted: t: 3 messages")
    assert cli.refused(command) == 0
    assert capsys.readouterr().out == "nothing was refused\n"
