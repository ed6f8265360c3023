"""The command `sensors-replay --config FILE`."""

from __future__ import annotations

from millrace_common.service import run_service
from sensors_replay.app import run
from sensors_replay.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or the limit, then 0; 1 after an error beyond recovery, 2 for wrong settings."""
    return run_service("sensors-replay", "Replay weather observations to Kafka.", Settings, run, arguments)
