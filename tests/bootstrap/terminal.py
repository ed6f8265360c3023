"""A command as at a terminal, where somebody types sudo's password when it is asked for."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass

_PROMPT = re.compile(rb"\[sudo\] password for \S+: \Z")
_CHUNK = 65536
_LONGEST = 120  # bytes of a prompt


@dataclass(frozen=True)
class Said:
    """How a command ended, what it printed, and how often sudo asked."""

    status: int
    output: str
    asked: int


def run(command: list[str], password: str, within: float) -> Said:
    """Run a command whose far end is a terminal (`ssh -tt`), showing its output.

    Raises AssertionError where it takes longer than `within` seconds, or sudo refuses the password.
    """
    output, asked = bytearray(), 0
    end = time.monotonic() + within
    with subprocess.Popen(  # noqa: S603 - our own argv
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError(command)
        source = process.stdout.fileno()
        while True:
            if not select.select([source], [], [], max(0.0, end - time.monotonic()))[0]:
                process.kill()
                message = f"not done after {within:.0f} s: {command[-1]}"
                raise AssertionError(message)
            chunk = os.read(source, _CHUNK)
            if not chunk:
                break
            output += chunk
            sys.stdout.write(chunk.decode(errors="replace").replace("\r\n", "\n"))
            sys.stdout.flush()
            if _PROMPT.search(output[-_LONGEST:]):
                asked += 1
                process.stdin.write(f"{password}\n".encode())
            if b"Sorry, try again" in chunk:
                process.kill()
                message = f"sudo refuses the password: {command[-1]}"
                raise AssertionError(message)
    return Said(process.returncode, output.decode(errors="replace").replace("\r\n", "\n"), asked)
