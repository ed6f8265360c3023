"""The buffer's file: what is taken stays, in order; its bounds; what is refused; who else may use it."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_common import bufferfile
from millrace_common.buffer import Buffer, BufferFileError, BufferSettings, MessageTooLargeError
from millrace_common.bufferfile import OVERHEAD, BufferFile

T = "readings"
GO = threading.Event()
MUCH = 1 << 30


def open_at(folder: Path, **limits: int) -> Buffer:
    return Buffer(BufferSettings(str(folder / "buffer.sqlite"), **limits))  # type: ignore[arg-type] # limits are numbers


class Impatient(threading.Event):
    """A stop that comes while one waits for room, after something else was done."""

    def __init__(self, waits: int, meanwhile: list[object]) -> None:
        super().__init__()
        self.left, self.meanwhile = waits, meanwhile

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.left -= 1
        for call in self.meanwhile:
            call()  # type: ignore[operator] # given as functions
        return self.left < 0


def test_what_was_taken_is_there_after_a_restart_in_order_and_by_topic(tmp_path: Path) -> None:
    with open_at(tmp_path) as buffer:
        assert buffer.put(T, [(b"a", b"1"), (b"b", b"2")], GO)
        assert buffer.put("other", [(b"a", b"x")], GO)
        assert buffer.put(T, [(b"a", b"3")], GO)
        taken = buffer.rows(T, 0, 10, MUCH)
    with open_at(tmp_path) as buffer:
        assert buffer.rows(T, 0, 10, MUCH) == taken
        assert [(row.key, row.value) for row in taken] == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
        assert [row.value for row in buffer.rows(T, taken[0].id, 1, MUCH)] == [b"2"]
        assert [row.value for row in buffer.rows(T, 0, 10, 1)] == [b"1"], "at least one, however few bytes"
        assert (buffer.waiting, buffer.bytes) == (4, 4 * (2 + OVERHEAD))
        assert buffer.forget([taken[0].id, taken[2].id, 999]) == 2
        assert (buffer.waiting, buffer.bytes) == (2, 2 * (2 + OVERHEAD))


def test_an_id_is_never_given_twice_also_when_all_was_forgotten(tmp_path: Path) -> None:
    with open_at(tmp_path) as buffer:
        buffer.put(T, [(b"a", b"1")], GO)
        (first,) = buffer.ids(T)
        buffer.forget([first])
    with open_at(tmp_path) as buffer:
        buffer.put(T, [(b"a", b"2")], GO)
        assert buffer.ids(T) > [first]


def test_a_full_buffer_lets_the_source_wait_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_at(tmp_path, max_messages=2) as buffer:
        buffer.put(T, [(b"a", b"1"), (b"a", b"2")], GO)
        seen: list[str | None] = []
        assert not buffer.put(T, [(b"a", b"3")], Impatient(2, [lambda: seen.append(buffer.problem)]))
        assert seen[0] == f"the buffer is full: 2 messages wait, 0 are refused, {2 * (2 + OVERHEAD)} bytes"
        assert "the source waits" in caplog.messages
        assert buffer.blocked_seconds > 0
        assert buffer.waiting == 2
        oldest = buffer.ids(T)[0]
        assert buffer.put(T, [(b"a", b"3")], Impatient(2, [lambda: buffer.forget([oldest])]))
        assert buffer.problem is None
        assert "the source goes on" in caplog.messages
        assert [row.value for row in buffer.rows(T, 0, 9, MUCH)] == [b"2", b"3"]


def test_bytes_are_bounded_too_and_what_is_refused_counts(tmp_path: Path) -> None:
    with open_at(tmp_path, max_bytes=1024) as buffer:
        buffer.put(T, [(b"a", b"x" * 800)], GO)
        assert buffer.refuse(buffer.ids(T), "no right") == 1
        assert (buffer.waiting, buffer.refused) == (0, 1)
        assert not buffer.put(T, [(b"a", b"x" * 200)], Impatient(0, []))
        assert buffer.put(T, [(b"a", b"x")], GO)
    with open_at(tmp_path, max_bytes=1024) as buffer:
        assert (buffer.waiting, buffer.refused) == (1, 1), "a restart changes nothing"
        assert not buffer.put(T, [(b"a", b"x" * 200)], Impatient(0, []))


def test_a_message_that_kafka_would_refuse_for_its_size_is_not_taken_nor_what_came_with_it(
    tmp_path: Path,
) -> None:
    with open_at(tmp_path, max_message_bytes=10, max_messages=3) as buffer:
        with pytest.raises(MessageTooLargeError, match="11 bytes for readings; at most 10"):
            buffer.put(T, [(b"a", b"1"), (b"a", b"x" * 10)], GO)
        with pytest.raises(ValueError, match="more than the buffer may hold"):
            buffer.put(T, [(b"a", b"1")] * 4, GO)
        assert buffer.waiting == 0
        assert buffer.put(T, [(b"a", b"x" * 9)], GO)


def test_a_disk_that_takes_nothing_lets_the_source_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_at(tmp_path) as buffer:
        real = BufferFile.append

        def full(*_: object) -> None:
            message = "database or disk is full"
            raise sqlite3.OperationalError(message)

        monkeypatch.setattr(BufferFile, "append", full)
        seen: list[str | None] = []
        mend = [lambda: seen.append(buffer.problem), lambda: monkeypatch.setattr(BufferFile, "append", real)]
        assert buffer.put(T, [(b"a", b"1")], Impatient(3, list(mend)))
        assert seen == ["the buffer's disk takes nothing: database or disk is full"]
        assert (buffer.waiting, buffer.problem) == (1, None)


def test_callers_that_come_at_once_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, commits = BufferFile.append, []
    first_is_in, go_on = threading.Event(), threading.Event()

    def slow(self: BufferFile, groups: list[object], accepted: float) -> None:
        commits.append(len(groups))
        first_is_in.set()
        assert go_on.wait(30)
        real(self, groups, accepted)  # type: ignore[arg-type] # passed through

    monkeypatch.setattr(BufferFile, "append", slow)
    with open_at(tmp_path) as buffer:
        callers = [threading.Thread(target=buffer.put, args=(T, [(b"k", b"%d" % n)], GO)) for n in range(9)]
        callers[0].start()
        assert first_is_in.wait(30)
        for caller in callers[1:]:
            caller.start()
        while len(buffer._queue) < 8:  # noqa: SLF001 - all the others wait for the commit under way
            pass
        go_on.set()
        for caller in callers:
            caller.join()
        assert commits == [1, 8]
        assert sorted(row.value for row in buffer.rows(T, 0, 99, MUCH)) == [b"%d" % n for n in range(9)]


def test_one_process_at_a_time_and_no_other_file(tmp_path: Path) -> None:
    with open_at(tmp_path), pytest.raises(BufferFileError, match="another process uses this buffer"):
        open_at(tmp_path)
    with open_at(tmp_path):
        pass
    (tmp_path / "buffer.sqlite").write_bytes(b"x" * 5000)
    for _ in range(2):  # the lock is free again
        with pytest.raises(BufferFileError, match="can't be used as a buffer: file is not a database"):
            open_at(tmp_path)
    with pytest.raises(BufferFileError, match="No such file"):
        open_at(tmp_path / "absent")


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_at(tmp_path):
        pass
    monkeypatch.setattr(bufferfile, "VERSION", 2)
    with pytest.raises(BufferFileError, match="its version is 1, this program knows 2"):
        open_at(tmp_path)


def test_taking_waits_for_the_disk_and_forgetting_does_not(tmp_path: Path) -> None:
    # What synchronous=FULL promises can't be tried without cutting the power: here, that it is asked for.
    file = BufferFile(tmp_path / "buffer.sqlite")
    pragmas = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for connection in (file._taking, file._sending)  # noqa: SLF001 - there is no other way to ask
        for name in ("journal_mode", "synchronous")
    ]
    assert pragmas == ["wal", 2, "wal", 1]
    file.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.integers(0, 3), min_size=1, max_size=4)),
        st.tuples(st.just("forget"), st.lists(st.integers(0, 40), max_size=4)),
        st.tuples(st.just("refuse"), st.lists(st.integers(0, 40), max_size=4)),
        st.tuples(st.just("restart"), st.just([])),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_its_counts_and_rows_are_those_of_a_plain_model(steps: list[tuple[str, list[int]]]) -> None:
    with TemporaryDirectory() as folder:
        buffer = open_at(Path(folder))
        waiting: dict[int, bytes] = {}
        refused = number = 0
        for kind, given_ in steps:
            if kind == "put":
                messages = [(b"%d" % key, b"v%d" % (number + i)) for i, key in enumerate(given_)]
                buffer.put(T, messages, GO)
                new = [found for found in buffer.ids(T) if found > max(waiting, default=0)][-len(messages) :]
                waiting |= dict(zip(new, [value for _, value in messages], strict=True))
                number += len(messages)
            elif kind == "restart":
                buffer.close()
                buffer = open_at(Path(folder))
            else:
                gone = [found for found in set(given_) if waiting.pop(found, None) is not None]
                count = buffer.forget(set(given_)) if kind == "forget" else buffer.refuse(set(given_), "no")
                assert count == len(gone)
                refused += len(gone) if kind == "refuse" else 0
        assert [(row.id, row.value) for row in buffer.rows(T, 0, 999, MUCH)] == sorted(waiting.items())
        assert (buffer.waiting, buffer.refused) == (len(waiting), refused)
        counted = buffer.bytes
        buffer.close()
        buffer = open_at(Path(folder))
        assert buffer.bytes == counted
        buffer.close()
