"""A program on a node that lives as long as it is needed: lines of JSON in, lines of JSON out."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Self

from millrace.access import remote
from millrace.console import MillraceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

LONGEST = 60  # characters of a word that names it
SHOWN = 1500  # characters of what it said as it failed
ENDED = object()


class NodeProcess:
    """Runs `command` on `node`. It is expected to end once its input does, as it also does when we die."""

    def __init__(self, node: str, command: Sequence[str], first: object) -> None:
        """Start it and give it its first line."""
        # Not the script that it may be given.
        self._name = f"{' '.join(word for word in command[:3] if len(word) < LONGEST)} … on {node}"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(  # noqa: S603 - our own argv
            remote.ssh_argv(node, command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answers: queue.Queue[Any] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.send(first)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End its input, and it with that; kill it where it does not end."""
        self._close_input()
        try:
            self._process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def send(self, line: object) -> None:
        """Give it a line; MillraceError with what it said if it has died."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(line) + "\n")
                self._process.stdin.flush()
        except BrokenPipeError:
            self._died()

    def finish(self) -> None:
        """End its input; what it still prints can be received."""
        self._close_input()

    def receive(self, timeout: float) -> Any:  # noqa: ANN401 - JSON
        """Return its next line; MillraceError where none comes in time, or none ever will."""
        try:
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            message = f"{self._name}: no answer within {timeout:.0f} s"
            raise MillraceError(message) from None
        if answer is ENDED:
            self._died()
        return answer

    def received(self) -> list[Any]:
        """Return all lines that have come and were not asked for yet; MillraceError if it has died."""
        found = []
        while not self._answers.empty():
            answer = self._answers.get()
            if answer is ENDED:
                self._died()
            found.append(answer)
        return found

    def _close_input(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                return  # it has died; whoever waits for an answer is told

    def _read(self) -> None:
        for line in self._process.stdout or ():
            # A JVM may print lines of its own.
            if line.startswith(("[", "{", '"')) or line[:1].isdigit():
                self._answers.put(json.loads(line))
        self._answers.put(ENDED)

    def _died(self) -> None:
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read()[-SHOWN:].strip()
        message = f"{self._name} ended with status {self._process.returncode}: {said}"
        raise MillraceError(message)
