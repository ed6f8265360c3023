"""Doing things as root, and sudo's ticket for it. Standard library only."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millrace.console import CommandError, run, run_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

RENEWED_EVERY = 60  # seconds
_SMALL = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
# The way out to apt's archives: without being told, sudo drops them.
PROXIES = (*_SMALL, *(name.upper() for name in _SMALL))


def root_command(*words: str, kept: Iterable[str] = ()) -> list[str]:
    """Return a command line that runs as root; sudo keeps the proxies and the variables `kept`."""
    if os.geteuid() == 0:
        return list(words)
    names = [*kept, *(name for name in PROXIES if name in os.environ)]
    return ["sudo", "-n", *([f"--preserve-env={','.join(names)}"] if names else []), *words]


def privileged() -> bool:
    """Tell whether root is at hand; sudo asks for a password where a terminal is there to give it."""
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    try:
        # Not `sudo -v`: that wants a password as soon as one of the user's rules does, whichever applies.
        run(["sudo", "-n", "true"])
    except CommandError:
        return False
    return True


def exists(path: Path) -> bool:
    """Tell whether a path exists that only root may see."""
    try:
        run(root_command("test", "-e", str(path)))
    except (CommandError, FileNotFoundError):
        return False
    return True


def write(path: str, text: str, *, append: bool = False) -> None:
    """Write a file that belongs to root."""
    run(root_command("tee", *(["-a"] if append else []), path), stdin=text)


@contextmanager
def kept_fresh() -> Iterator[None]:
    """Renew the ticket, if there is one, while the block runs; never asks for a password."""
    if os.geteuid() == 0 or shutil.which("sudo") is None:
        yield
        return
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEWED_EVERY):
            run_once(["sudo", "-n", "-v"])

    thread = threading.Thread(target=renew, name="sudo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
