"""The naive sinks, on a topic and a database in memory: exact as long as nobody kills them."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import naive_sink
import psycopg2
import pytest
from chaos_stream import EXPECTED, ITEMS, SEEN
from verdict import Found, Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kafka import TopicPartition  # type: ignore[import-untyped] # kafka-python has no type hints

TOPIC = "t"
PREFIX = "p"
RECORDS = [
    SimpleNamespace(
        partition=message.place[0],
        offset=message.place[1],
        timestamp=message.appended_at.timestamp() * 1000,
        headers=[("millrace-test", f"{PREFIX}/{message.index}".encode())],
        value=ITEMS[message.index].value,
    )
    for message in SEEN
]


class EndOfTopicError(Exception):
    """Nothing more is there."""


class KilledError(Exception):
    """Stands for SIGKILL."""


class Consumer:
    """Consumes RECORDS; what was committed outlives it."""

    committed_offsets: dict[TopicPartition, int]

    def __init__(self, **_settings: object) -> None:
        """Begin."""
        self._at = dict(self.committed_offsets)

    def assign(self, _places: list[TopicPartition]) -> None:
        """Nothing to do."""

    def committed(self, place: TopicPartition) -> int | None:
        """Return the group's offset."""
        return self.committed_offsets.get(place)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Go there."""
        self._at[place] = offset

    def position(self, place: TopicPartition) -> int:
        """Return the next offset."""
        return int(self._at[place])

    def poll(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Return the next records of each partition."""
        assert timeout_ms
        found = {}
        for place, offset in self._at.items():
            rest = [r for r in RECORDS if r.partition == place.partition and r.offset >= offset]
            if rest:
                found[place] = rest[: max_records // 10]
                self._at[place] = found[place][-1].offset + 1
        if not found:
            raise EndOfTopicError
        return found

    def commit(self) -> None:
        """Commit where it is."""
        self.committed_offsets.update(self._at)


class Database:
    """What psycopg2.connect returns: a `with` over it is a transaction."""

    def __init__(self) -> None:
        """Have no rows."""
        self.done: list[tuple[str, Any]] = []
        self._open: list[tuple[str, Any]] = []

    def __enter__(self) -> None:
        """Begin."""
        self._open = []

    def __exit__(self, kind: object, *_rest: object) -> None:
        """Commit, or roll back."""
        if kind is None:
            self.done += self._open

    @contextmanager
    def cursor(self) -> Iterator[Database]:
        """Be one's own cursor."""
        yield self

    def execute(self, statement: str, values: Any) -> None:  # noqa: ANN401 - a row
        """Note it."""
        self._open.append((statement, values))

    def found(self) -> Found:
        """Return what is there."""
        counts: dict[tuple[int, str], Counter[int]] = {}
        for _, (_topic, partition, sensor, *numbers) in self._of(naive_sink.COUNT):
            counts.setdefault((partition, sensor), Counter()).update(dict(enumerate(numbers)))
        return Found(
            rows=[(*row[:4], (row[4], row[5])) for _, row in self._of(naive_sink.READING)],
            rejects=[((row[1], row[2]), row[3]) for _, row in self._of(naive_sink.REJECT)],
            counts={key: [held[n] for n in range(3)] for key, held in counts.items() if key[1]},
        )

    def _of(self, statement: str) -> list[tuple[str, Any]]:
        return [entry for entry in self.done if entry[0] == statement]


def verdict(order: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, kills: int) -> Verdict:
    """Run a sink to the end of the topic, killed between its commits in its first `kills` batches."""
    database = Database()
    lives = iter([True] * kills)
    status = tmp_path / "status"

    def between(seconds: float) -> None:
        assert seconds == naive_sink.PAUSE
        assert json.loads(status.read_text())["phase"] == "between"
        if next(lives, False):
            raise KilledError

    monkeypatch.setattr(Consumer, "committed_offsets", {}, raising=False)
    monkeypatch.setattr(naive_sink, "KafkaConsumer", Consumer)
    monkeypatch.setattr(psycopg2, "connect", lambda: database)
    monkeypatch.setattr(time, "sleep", between)
    given = {
        "client": {},
        "topic": TOPIC,
        "prefix": PREFIX,
        "group": "g",
        "offsets": {"0": 0, "1": 0, "2": 0},
        "database": {},
        "order": order,
        "status": str(status),
    }
    for _ in range(kills):
        with pytest.raises(KilledError):
            naive_sink.Sink(given).run()
    with pytest.raises(EndOfTopicError):
        naive_sink.Sink(given).run()
    return compare(EXPECTED, database.found())


@pytest.mark.parametrize("order", ["commit first", "insert first"])
def test_one_that_nobody_kills_is_exact(order: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert verdict(order, monkeypatch, tmp_path, kills=0) == Verdict(0, 0, 0, ())


def test_killed_after_it_committed_offsets_it_has_lost_the_batch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = verdict("commit first", monkeypatch, tmp_path, kills=1)
    assert told.lost >= 150, "50 of each partition"


def test_killed_after_it_inserted_it_writes_the_batch_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = verdict("insert first", monkeypatch, tmp_path, kills=1)
    assert told.doubled >= 150, "50 of each partition"
    assert told.lost == 0
