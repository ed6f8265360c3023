"""The command line that all services and commands share: `NAME --config FILE [--check]`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from millrace_common.config import ConfigError, load_config
from millrace_common.logs import setup_logging
from millrace_common.stop import stop_on_signals

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)


class ServiceSettings(Protocol):
    """What the settings of every service have."""

    @property
    def log_level(self) -> str:
        """One of millrace_common.logs.LEVELS."""


S = TypeVar("S", bound=ServiceSettings)


def run_service(
    prog: str,
    description: str,
    settings_type: type[S],
    run: Callable[[S, threading.Event], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Read the settings and run a service until it ends; return its exit status.

    `run` gets the settings and an event that SIGTERM and SIGINT set, and returns 0 after a stop in order.
    An exception of it is logged, for 1. Wrong settings are told on standard error, a line each, for 2;
    SystemExit(2) for a wrong command line. With --check nothing but the settings is read.
    `arguments` are the process's own unless given.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    return run_command(parser, settings_type, lambda _options, *given: run(*given), arguments)


def run_command(
    parser: argparse.ArgumentParser,
    settings_type: type[S],
    run: Callable[[argparse.Namespace, S, threading.Event], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Do the same for a command with options of its own, which `parser` has and `run` gets first."""
    parser.add_argument("--config", type=Path, required=True, help="the settings, a JSON file")
    parser.add_argument("--check", action="store_true", help="only read the settings, then end")
    options = parser.parse_args(arguments)
    try:
        settings = load_config(options.config, settings_type)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.check:
        return 0
    setup_logging(settings.log_level)
    try:
        return run(options, settings, stop_on_signals())
    except Exception:
        log.exception("ended by an error")
        return 1
