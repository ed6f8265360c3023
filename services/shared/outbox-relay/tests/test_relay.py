"""The relay's loop with a fake outbox and a fake producer: nothing is deleted before it is acknowledged."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Self

import psycopg2
import pytest
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError  # type: ignore[import-untyped] # kafka-python has no type hints
from prometheus_client import CollectorRegistry

from millrace_common.config import ConfigError, parse_config
from outbox_relay import cli
from outbox_relay.outbox import Outbox, Row
from outbox_relay.relay import Relay
from outbox_relay.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "kafka": {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"},
    "postgres": {
        "host": "db-1",
        "database": "sensors",
        "username": "sensors_relay",
        "password": "hush",
        "ca_file": "/ca.crt",
    },
    "http": {"port": 0},
    "outbox": "sensors.outbox",
}


class DatabaseGoneError(Exception):
    """The fake database's failure."""


class Lab:
    """A fake outbox and a fake Kafka which write down what happens in which order."""

    def __init__(self, count: int) -> None:
        self.rows = [
            Row(number, "sensors.rejected", f"t/0/{number}", f'{{"n":{number}}}') for number in range(count)
        ]
        self.locked: list[Row] = []
        self.events: list[str] = []
        self.messages: list[tuple[str, bytes, bytes]] = []
        self.fail_ack: set[int] = set()
        self.fail_send: set[int] = set()
        self.fail_delete = 0
        self.age = 0.0

    # the outbox
    def take(self, rows: int, size: int) -> list[Row]:
        assert size > 0
        self.locked = self.rows[:rows]
        self.events.append(f"take {len(self.locked)}")
        return self.locked

    def delete(self, rows: list[Row]) -> None:
        if self.fail_delete:
            self.fail_delete -= 1
            raise DatabaseGoneError
        self.events.append(f"delete {','.join(str(row.id) for row in rows)}")
        self.rows = [row for row in self.rows if row not in rows]

    def release(self) -> None:
        self.events.append("release")

    def oldest_age(self) -> float:
        return self.age

    # Kafka
    def send(self, topic: str, value: bytes, key: bytes) -> Future:
        number = json.loads(value)["n"]
        if number in self.fail_send:
            raise MessageSizeTooLargeError
        self.events.append(f"send {number}")
        self.messages.append((topic, value, key))
        return Future(self, number)

    def close(self, timeout: float | None = None) -> None:
        self.events.append("close Kafka" if timeout else "close database")


class Future:
    """An acknowledgement to wait for."""

    def __init__(self, lab: Lab, number: int) -> None:
        self._lab, self._number = lab, number

    def get(self, timeout: float) -> None:
        assert timeout > 0
        if self._number in self._lab.fail_ack:
            raise KafkaTimeoutError
        self._lab.events.append(f"ack {self._number}")


class Stop(threading.Event):
    """Waiting takes no time; it is set once the relay has paused `pauses` times."""

    def __init__(self, pauses: int) -> None:
        super().__init__()
        self.pauses = pauses

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses -= 1
        if self.pauses <= 0:
            self.set()
        return self.is_set()


def make(lab: Lab, pauses: int = 1, now: list[float] | None = None, **changes: object) -> Relay:
    settings = parse_config(CONFIG | changes, Settings)
    clock = now if now is not None else [0.0]
    errors = (DatabaseGoneError, KafkaError)
    return Relay(
        settings, Stop(pauses), CollectorRegistry(), lambda: lab, lambda: lab, errors, lambda: clock[0]
    )


def test_deletes_only_after_every_acknowledgement() -> None:
    lab = Lab(2)
    make(lab).run()
    assert lab.events == [
        *["take 2", "send 0", "send 1", "ack 0", "ack 1", "delete 0,1"],
        *["take 0", "release", "close database", "close Kafka"],
    ]
    assert lab.messages[0] == ("sensors.rejected", b'{"n":0}', b"t/0/0")


def test_a_full_outbox_is_emptied_without_a_pause() -> None:
    lab = Lab(1200)
    relay = make(lab)
    relay.run()
    assert lab.rows == []
    assert [event for event in lab.events if event.startswith("take")] == [
        "take 500",
        "take 500",
        "take 200",
        "take 0",
    ]
    assert relay.published.labels("sensors.rejected")._value.get() == 1200  # noqa: SLF001 - the way to a counter's value


def test_rows_without_acknowledgement_stay_and_are_sent_again() -> None:
    lab = Lab(3)
    lab.fail_ack = {1}
    relay = make(lab)
    relay.run()
    assert [row.id for row in lab.rows] == [1]
    assert "delete 0,2" in lab.events
    lab.fail_ack = set()
    make(lab).run()
    assert lab.rows == []
    assert [json.loads(value)["n"] for _, value, _ in lab.messages] == [0, 1, 2, 1]


def test_a_row_that_can_not_be_sent_does_not_hold_back_the_rest() -> None:
    lab = Lab(3)
    lab.fail_send = {0}
    relay = make(lab)
    relay.run()
    assert [row.id for row in lab.rows] == [0]
    assert relay.failed._value.get() == 1  # noqa: SLF001 - the way to a counter's value


def test_a_lost_database_sends_again_and_connects_anew() -> None:
    lab = Lab(2)
    lab.fail_delete = 1
    make(lab, pauses=2).run()
    assert lab.rows == []
    assert [json.loads(value)["n"] for _, value, _ in lab.messages] == [0, 1, 0, 1]
    assert lab.events.count("close database") == 2


def test_an_unexpected_error_ends_the_process_with_the_rows_in_place() -> None:
    lab = Lab(2)
    relay = make(lab)
    lab.send = None  # type: ignore[method-assign,assignment] # any bug of ours
    with pytest.raises(TypeError):
        relay.run()
    assert len(lab.rows) == 2


def test_health_tells_the_last_error() -> None:
    lab, now = Lab(1), [0.0]
    lab.fail_ack = {0}
    relay = make(lab, now=now)
    relay.run()
    now[0] = 20.0
    assert relay.check() == "no round succeeded for 20 s; last error: KafkaTimeoutError: KafkaTimeoutError"
    lab.fail_ack = set()
    assert relay.round() == 1


def test_metrics_tell_the_age_of_the_oldest_row() -> None:
    lab = Lab(1)
    lab.age = 7.5
    relay = make(lab)
    relay.round()
    assert relay.age._value.get() == 7.5  # noqa: SLF001 - the way to a gauge's value


def test_the_database_sees_who_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(psycopg2, "connect", lambda **arguments: asked.update(arguments))
    Outbox(parse_config(CONFIG, Settings).postgres, "sensors.outbox", "sensors-relay")
    assert (asked["host"], asked["application_name"]) == ("db-1", "sensors-relay")


class Connection:
    """A connection, its cursor and its answers, which keeps the statements."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def cursor(self) -> Connection:
        return self

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End a cursor."""

    def execute(self, statement: object, _arguments: object = None) -> None:
        self.statements.append(repr(statement))

    def fetchall(self) -> list[tuple[object, ...]]:
        return [(1, "orders.placed", "k", "v")]

    def fetchone(self) -> None:
        """No row is the oldest."""

    def commit(self) -> None:
        self.statements.append("commit")

    def rollback(self) -> None:
        self.statements.append("rollback")


def test_every_statement_is_about_the_table_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection()
    monkeypatch.setattr(psycopg2, "connect", lambda **_: connection)
    settings = parse_config(CONFIG | {"outbox": "shop.messages"}, Settings)
    outbox = Outbox(settings.postgres, settings.outbox, settings.name)
    outbox.delete(outbox.take(10, 1000))
    assert outbox.oldest_age() == 0.0
    taken, deleted, _, aged, _ = connection.statements
    for statement in (taken, deleted, aged):
        assert "Identifier('shop', 'messages')" in statement
        assert "sensors" not in statement


@pytest.mark.parametrize("outbox", ["messages", "shop.messages; DROP", 'shop."x"', ""])
def test_a_table_that_is_none_is_refused(outbox: str) -> None:
    with pytest.raises(ConfigError, match="outbox"):
        parse_config(CONFIG | {"outbox": outbox}, Settings)


def test_metrics_are_called_after_the_relay() -> None:
    relay = make(Lab(0), name="shop-relay")
    assert relay.age._name == "shop_relay_oldest_row_age_seconds"  # noqa: SLF001 - the way to a gauge's name


def test_the_command_checks_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    assert cli.main(["--config", str(path), "--check"]) == 0
    path.write_text(json.dumps(CONFIG | {"poll_ms": 1}))
    assert cli.main(["--config", str(path)]) == 2
    assert capsys.readouterr().err == f"{path}: poll_ms: expected at least 10, got 1\n"
