"""The command `sensors-generator --config FILE`."""

from __future__ import annotations

from millrace_common.service import run_service
from sensors_generator.app import run
from sensors_generator.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or the limit; then 0; 1 after an error, 2 for wrong settings."""
    return run_service("sensors-generator", "Send sensor readings to Kafka.", Settings, run, arguments)
