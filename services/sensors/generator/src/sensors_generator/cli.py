"""The commands `sensors-generator` and `sensors-generator-refused`, each with --config FILE."""

from __future__ import annotations

from argparse import ArgumentParser

from millrace_common import refused as refusals
from millrace_common.service import run_service
from sensors_generator.app import run
from sensors_generator.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or the limit, then 0; 1 after an error, 2 for wrong settings."""
    return run_service("sensors-generator", "Send sensor readings to Kafka.", Settings, run, arguments)


def refused(arguments: list[str] | None = None) -> int:
    """List what Kafka refused for good, send it again or delete it; 1 if that can't be, 2 as above."""
    parser = ArgumentParser("sensors-generator-refused", description="Readings that Kafka refused for good.")
    return refusals.command(parser, Settings, arguments)
