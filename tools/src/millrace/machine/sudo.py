"""sudo's ticket: it lasts a quarter of an hour, and a phase may last longer. Standard library only."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from millrace.console import run_once

if TYPE_CHECKING:
    from collections.abc import Iterator

RENEWED_EVERY = 60  # seconds


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
