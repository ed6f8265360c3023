"""The command `sensors-replay --config FILE`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from millrace_common.config import ConfigError, load_config
from millrace_common.logs import setup_logging
from millrace_common.stop import stop_on_signals
from sensors_replay.app import run
from sensors_replay.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or the limit, then 0; 1 after an error beyond recovery, 2 for wrong settings."""
    parser = argparse.ArgumentParser(
        prog="sensors-replay", description="Replay weather observations to Kafka."
    )
    parser.add_argument("--config", type=Path, required=True, help="the settings, a JSON file")
    parser.add_argument("--check", action="store_true", help="only read the settings, then end")
    options = parser.parse_args(arguments)
    try:
        settings = load_config(options.config, Settings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.check:
        return 0
    setup_logging(settings.log_level)
    try:
        return run(settings, stop_on_signals())
    except Exception:
        logging.getLogger("sensors_replay").exception("ended by an error")
        return 1
