"""A sender that dies: what it told of stays acknowledged, the rest is sent again by the next one."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import probe
import pytest
import sending
from sensors_oracle.reference import Verdict
from sensors_oracle.stream import Item

from millrace.access import remote

if TYPE_CHECKING:
    from pathlib import Path

# Stands for the sender on the node: writes down what it gets, acknowledges it, and dies as it is told to.
FAKE = """
import json, os, sys
from pathlib import Path
log, deaths = Path(sys.argv[1]), json.loads(sys.argv[2])
lives = log / "lives"
life = len(lives.read_text()) if lives.exists() else 0
lives.write_text("x" * (life + 1))
print(sys.stdin.readline(), file=sys.stderr)
for count, line in enumerate(sys.stdin):
    index = json.loads(line)[0]
    with (log / "got").open("a") as got:
        print(life, index, file=got)
    if life < len(deaths) and count == deaths[life]:
        print("died", file=sys.stderr)
        print(f"[{index}, 0", end="", flush=True)
        os._exit(1)
    print(json.dumps([index, 0, 1000 * life + index]), flush=True)
"""
ITEMS = [Item(None, b"value", Verdict("stored", "a")) for _ in range(50)]


@pytest.fixture
def got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the node by a process here, which dies at its fourth message and then at its sixth."""
    argv = [sys.executable, "-c", FAKE, str(tmp_path), "[3, 5]"]
    monkeypatch.setattr(remote, "ssh_argv", lambda _node, _command: argv)
    monkeypatch.setattr(probe, "kafka_client", dict)
    monkeypatch.setattr(sending, "PAUSE", 0)
    return tmp_path / "got"


def test_everything_is_acknowledged_in_the_end_and_nothing_that_was_is_sent_again(got: Path) -> None:
    sender = sending.Sender(ITEMS, "prefix", 1_000_000)
    sender.run()
    assert sender.senders == 3
    assert sorted(sender.acknowledged) == list(range(50))
    received = [tuple(map(int, line.split())) for line in got.read_text().splitlines()]
    # Half a line is no acknowledgement: message 3 came to two senders.
    assert [index for life, index in received if life == 0] == [0, 1, 2, 3]
    assert [index for life, index in received if life == 1][:1] == [3]
    assert sender.acknowledged[3] == (0, 1003)
    last = [index for life, index in received if life == 2]
    assert last == sorted(last)
    assert set(range(50)) - set(last) == set(range(8)), "5 of the second sender's were acknowledged"


def test_one_that_was_stopped_begins_nothing_new_but_sends_what_is_open(got: Path) -> None:
    sender = sending.Sender(ITEMS, "prefix", 20)
    thread = threading.Thread(target=sender.run)
    thread.start()
    while sender.senders < 2:
        assert thread.is_alive()
        time.sleep(0.01)
    sender.stop()
    thread.join()
    assert sender.begun < 50
    assert sorted(sender.acknowledged) == list(range(sender.begun))
    assert got.exists()


def test_brokers_that_take_nothing_for_long_are_told(monkeypatch: pytest.MonkeyPatch, got: Path) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 0)
    argv = [sys.executable, "-c", "import sys; sys.exit('no brokers')"]
    monkeypatch.setattr(remote, "ssh_argv", lambda _node, _command: argv)
    with pytest.raises(
        AssertionError, match="waited 0 s for the brokers to acknowledge anything: no brokers"
    ):
        sending.Sender(ITEMS, "prefix", 1_000_000).run()
    assert not got.exists()
