"""Sends a stream from the apps node while a fault strikes, and knows what was acknowledged, whatever happens.

The sender there may die with its node: what it told of until then counts as acknowledged, all else is sent
again by the next one. So a message may be in the topic twice, which the reference judges as any repeated one.
"""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import probe

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensors_oracle.stream import Item

SCRIPT = Path(__file__).with_name("on_node_send.py").read_text(encoding="utf-8")
PAUSE = 2  # seconds until the next sender is tried


class Sender:
    """Sends `items` at `rate` a second until told to stop; `acknowledged` is index -> (partition, offset)."""

    def __init__(self, items: Sequence[Item], prefix: str, rate: float) -> None:
        """Prepare; `run` sends, in a thread of its own."""
        self.acknowledged: dict[int, tuple[int, int]] = {}
        self.begun = 0  # how many of the items were given to a sender
        self.senders = 0
        self._items, self._prefix, self._rate = items, prefix, rate
        self._stop = threading.Event()

    def stop(self) -> None:
        """Begin no further message; `run` ends when all that was begun is acknowledged."""
        self._stop.set()

    def run(self) -> None:
        """Send until stopped or at the end of the items; fail when the brokers take no message for long."""
        errors = ""
        give_up = time.monotonic() + probe.PATIENCE
        while not self._done:
            before = len(self.acknowledged)
            errors = self._one_sender() or errors
            if len(self.acknowledged) > before:
                give_up = time.monotonic() + probe.PATIENCE
            elif time.monotonic() > give_up:
                message = (
                    f"waited {probe.PATIENCE} s for the brokers to acknowledge anything: {errors[-500:]}"
                )
                raise AssertionError(message)
            if not self._done:
                time.sleep(PAUSE)

    @property
    def _done(self) -> bool:
        everything = self._stop.is_set() or self.begun == len(self._items)
        return everything and len(self.acknowledged) == self.begun

    def _one_sender(self) -> str:
        """Start a sender on the node and feed it as long as it lives; return what it said of errors."""
        self.senders += 1
        # The prefix as an argument tells its process from others.
        argv = remote.ssh_argv(probe.APPS, [probe.KAFKA_PYTHON, "-c", SCRIPT, self._prefix])
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(  # noqa: S603 - our own argv
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            ) as process,
        ):
            listener = threading.Thread(target=self._listen, args=(process,))
            listener.start()
            try:
                self._feed(process)
            except BrokenPipeError:
                pass  # it died; the listener has what it told, and the next sender gets the rest
            finally:
                process.wait()
                listener.join()
            errors.seek(0)
            return errors.read()

    def _feed(self, process: subprocess.Popen[str]) -> None:
        if process.stdin is None:
            return
        with process.stdin as stdin:
            given = {"client": probe.kafka_client(), "topic": probe.TOPIC, "prefix": self._prefix}
            stdin.write(json.dumps(given) + "\n")
            # What an earlier sender left unacknowledged comes first, in its order.
            for index in [index for index in range(self.begun) if index not in self.acknowledged]:
                self._write(stdin, index)
            first, started = self.begun, time.monotonic()
            while self.begun < len(self._items) and not self._stop.is_set():
                time.sleep(max(0.0, started + (self.begun - first) / self._rate - time.monotonic()))
                self.begun += 1
                self._write(stdin, self.begun - 1)

    def _write(self, stdin: Any, index: int) -> None:  # noqa: ANN401 - a text stream
        item = self._items[index]
        texts = [None if part is None else base64.b64encode(part).decode() for part in (item.key, item.value)]
        stdin.write(json.dumps([index, *texts]) + "\n")
        stdin.flush()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            if not line.endswith("\n"):
                return  # cut off in the middle: not told
            index, partition, offset = json.loads(line)
            self.acknowledged[index] = (partition, offset)


def gone(prefix: str) -> bool:
    """Tell whether no sender of the prefix is left on the node, where one may outlive its connection."""
    pattern = f"[{prefix[0]}]{prefix[1:]}"  # does not match the command line that looks for it
    command = f"pgrep -f -- '{pattern}' >/dev/null || echo gone"
    return remote.run(probe.APPS, ["sh", "-c", command]).strip() == "gone"
