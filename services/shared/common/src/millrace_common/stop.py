"""A graceful stop: SIGTERM and SIGINT set an event that loops wait on."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger(__name__)


def stop_on_signals(event: threading.Event | None = None) -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets; call it from the main thread.

    A second signal ends the process at once, for an operator who doesn't want to wait.
    """
    stop = event or threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
