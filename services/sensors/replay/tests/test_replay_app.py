"""The replay's loop with a fake Kafka client and a fake clock: schedule, outages, failures, stop."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from kafka.errors import KafkaConnectionError, KafkaTimeoutError  # type: ignore[import-untyped] # kafka-python has no type hints
from prometheus_client import CollectorRegistry
from replay_fakes import HOURS, SECOND, START, Broker, Machine, make, replayed, times_and_values

from millrace_common import producer, service
from millrace_common.watch import Watch
from sensors_replay import app, cli
from sensors_replay.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_an_hour_every_ten_seconds_and_over_again_after_the_last(tmp_path: Path) -> None:
    machine = Machine(START + 123)
    sent = replayed(tmp_path, HOURS + 1, machine)
    assert times_and_values(sent) == [
        ("19:00:01.000", 0.0),
        *[("19:00:11.000", 1.0)] * 2,
        ("19:00:21.000", 2.0),
        ("19:00:41.000", 4.0),
        *[("19:00:51.000", 5.0)] * 2,
        ("19:01:01.000", 6.0),
        ("19:01:11.000", 0.0),
    ]
    assert [key for key, _ in sent[:3]] == [
        b"weather-ewr-temperature",
        b"weather-ewr-temperature",
        b"weather-jfk-temperature",
    ]
    assert machine.now == START + 71 * SECOND, "each hour when it is due"


def test_a_stop_in_order_leaves_nothing_to_send_again(tmp_path: Path) -> None:
    first, second = Machine(stop_at=9), Machine(START + 60 * SECOND)
    broker = Broker(first)
    assert make(tmp_path, first, broker).run() == 0
    assert broker.closed == 1
    assert 0 < len(broker.sent) < 8
    both = broker.sent + replayed(tmp_path, HOURS, second)
    (tmp_path / "other").mkdir()
    assert both == replayed(tmp_path / "other", HOURS)


def test_after_a_long_stop_the_table_goes_on_from_now(tmp_path: Path) -> None:
    replayed(tmp_path, 2)
    later, registry = Machine(START + 7200 * SECOND), CollectorRegistry()
    broker = Broker(later)
    make(tmp_path, later, broker, registry, limit_hours=3).run()
    assert times_and_values(broker.sent) == [("21:00:01.000", 2.0)]
    names = ("moved_total", "table_hour", "produced_total")
    assert [registry.get_sample_value(f"sensors_replay_{name}") for name in names] == [1, 2, 1]


def test_after_a_short_stop_what_was_missed_is_sent_at_once_with_its_own_times(tmp_path: Path) -> None:
    replayed(tmp_path, 2)
    later = Machine(START + 600 * SECOND)
    assert times_and_values(replayed(tmp_path, 6, later))[:2] == [
        ("19:00:21.000", 2.0),
        ("19:00:41.000", 4.0),
    ]
    assert later.now == START + 600 * SECOND


def test_a_blocked_message_is_tried_again(tmp_path: Path) -> None:
    machine = Machine()
    broker = Broker(machine, {1: KafkaTimeoutError(), 2: KafkaTimeoutError()})
    make(tmp_path, machine, broker, limit_hours=3).run()
    assert [value for _, value in times_and_values(broker.sent)] == [0.0, 1.0, 1.0, 2.0]


def test_a_failed_message_makes_its_batch_go_again_by_a_new_connection(tmp_path: Path) -> None:
    machine = Machine()
    broker = Broker(machine, {2: KafkaConnectionError()})
    replay = make(tmp_path, machine, broker, limit_hours=3)
    assert replay.run() == 0
    stamped = times_and_values(broker.sent)
    assert [value for _, value in stamped] == [0.0, 1.0, 1.0, 1.0, 2.0]
    assert len(set(stamped[1:4])) == 1, "the same time again"
    assert (replay.delivery.failed, broker.closed) == (1, 2)


def test_a_batch_that_makes_no_progress_goes_again_by_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Broker):
        """Answers nothing until it is closed, when all that is pending fails; then it is well."""

        pending: list[Callable[[BaseException], None]] = []  # noqa: RUF012 - one for the test

        def add_callback(self, call: Callable[[object], None]) -> None:
            if self.closed:
                super().add_callback(call)

        def add_errback(self, call: Callable[[BaseException], None]) -> None:
            if not self.closed:
                self.pending.append(call)

        def close(self, timeout: float) -> None:
            super().close(timeout)
            while self.pending:
                self.pending.pop()(KafkaConnectionError())

    monkeypatch.setattr(producer, "Watch", partial(Watch, 0.0))
    machine = Machine()
    broker = Silent(machine)
    replay = make(tmp_path, machine, broker, limit_hours=1)
    assert replay.run() == 0
    assert [value for _, value in times_and_values(broker.sent)] == [0.0, 0.0]
    assert (replay.delivery.failed, replay.delivery.acknowledged) == (1, 1)


def test_a_stop_while_messages_are_pending_leaves_them_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FLUSH_S", 0.01)
    machine = Machine()
    monkeypatch.setattr(Broker, "add_callback", lambda _self, _call: machine.set())
    broker = Broker(machine)
    assert make(tmp_path, machine, broker).run() == 0
    kept = Store(tmp_path / "progress.json").load()
    assert kept is not None
    assert (kept.first, kept.until) == (0, 1)
    monkeypatch.undo()
    assert replayed(tmp_path, 1, Machine(machine.now + SECOND)) == broker.sent


def test_a_slow_acknowledgement_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "FLUSH_S", 0.01)
    timers = []

    def later(_self: Broker, call: Callable[[object], None]) -> None:
        timers.append(threading.Timer(1.2, call, [None]))
        timers[-1].start()

    monkeypatch.setattr(Broker, "add_callback", later)
    sent = replayed(tmp_path, 2)
    for timer in timers:
        timer.join()
    assert [value for _, value in times_and_values(sent)] == [0.0, 1.0, 1.0]


def test_a_state_that_cannot_be_written_ends_the_process_before_anything_is_sent(tmp_path: Path) -> None:
    machine = Machine()
    broker = Broker(machine)
    with pytest.raises(FileNotFoundError):
        make(tmp_path / "absent", machine, broker).run()
    assert broker.sent == []


def test_health_tells_lateness_and_a_clock_that_was_set_back(tmp_path: Path) -> None:
    machine = Machine()
    replay = make(tmp_path, machine, Broker(machine), limit_hours=2)
    assert replay.check() is None
    replay.run()
    due = START + 11 * SECOND  # of the last hour, which counts until the next one is looked at
    machine.now = due + 15 * SECOND
    assert replay.check() is None
    machine.now = due + 16 * SECOND
    assert replay.check() == "the next hour is 16 s late (0 pending, 0 failed)"
    machine.now = due - 25 * SECOND
    assert replay.check() is None
    machine.now = due - 60 * SECOND
    assert replay.check() == "the clock was set back: the next hour is due in 60 s"


def test_the_service_runs_to_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broker = Broker(Machine())
    monkeypatch.setattr(cli, "run", partial(app.run, connect_to=lambda _: broker))
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    monkeypatch.setattr(service, "setup_logging", lambda _: None)
    table = tmp_path / "weather.csv"
    table.write_text("origin,temp,pressure,time_hour\nEWR,32,NA,2013-01-01T06:00:00Z\n", encoding="utf-8")
    path = tmp_path / "config.json"
    kafka = {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"}
    given_ = {
        "table": str(table),
        "state": str(tmp_path / "progress.json"),
        "speed": 3_600_000,
        "limit_hours": 3,
    }
    path.write_text(json.dumps({"kafka": kafka, "http": {"port": 0}} | given_), encoding="utf-8")
    assert cli.main(["--config", str(path), "--check"]) == 0
    assert cli.main(["--config", str(path)]) == 0
    assert len(broker.sent) == 3
    table.unlink()
    assert cli.main(["--config", str(path)]) == 1


def test_wrong_settings_end_with_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        '{"kafka": {"bootstrap_servers": ["a:1"], "security_protocol": "PLAINTEXT"}, "http": {"port": 0}}'
    )
    assert cli.main(["--config", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: table: is missing; it has no default",
        f"{path}: state: is missing; it has no default",
    ]
