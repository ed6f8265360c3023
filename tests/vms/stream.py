"""A program on a node that acknowledges what it was given, and what it had said when the node was struck."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING

from millrace.access import remote

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WITHIN = 1800  # seconds for so many to be acknowledged, on a machine without KVM
AT_LEAST = 200


def ask(questions: IO[str], first: str, line: Callable[[int], str]) -> None:
    """Write `first`, and numbered lines until nobody reads them any more."""
    number = 0
    try:
        questions.write(first)
        while True:
            number += 1
            questions.write(line(number))
    except (BrokenPipeError, ValueError):
        return  # the node is gone, which is what this is about


def listen(answers: IO[str], numbers: list[int]) -> None:
    """Add the number of each whole line that comes; the node may be gone in the middle of one."""
    for answer in answers:
        if answer.endswith("\n"):
            numbers.append(int(answer))  # noqa: PERF401 - others look at it meanwhile


def acknowledged_until(
    node: str, command: Sequence[str], first: str, line: Callable[[int], str], strike: Callable[[], None]
) -> list[int]:
    """Give numbered lines to a command on a node, strike, and return the numbers that it had acknowledged.

    It must answer each with a line that is the number. The strike comes in the middle of the stream, when
    AT_LEAST have been acknowledged; what is said between it and the end counts too.
    """
    numbers: list[int] = []
    with (
        # ssh makes an inherited standard error non-blocking, and Ansible wants no such one.
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(  # noqa: S603 - our own argv
            remote.ssh_argv(node, command, options=["-o", "ServerAliveInterval=5"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            bufsize=1,
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise AssertionError(command)
        asking = threading.Thread(target=ask, args=(process.stdin, first, line), daemon=True)
        listening = threading.Thread(
            target=lambda lines: numbers.extend(map(int, lines)), args=(process.stdout,)
        )
        asking.start()
        listening.start()
        end = time.monotonic() + WITHIN
        while len(numbers) < AT_LEAST:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                asking.join()
                with contextlib.suppress(BrokenPipeError):  # it would hide the failure
                    process.stdin.close()
                errors.seek(0)
                said = errors.read()
                message = f"{node} acknowledged {len(numbers)} within {WITHIN} s, not {AT_LEAST}: {said}"
                raise AssertionError(message)
            time.sleep(1)
        strike()
        process.wait()
        listening.join()
        with contextlib.suppress(BrokenPipeError):  # what was not sent any more
            process.stdin.close()
    return numbers
