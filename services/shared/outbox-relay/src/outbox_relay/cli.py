"""The command `outbox-relay --config FILE`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg2
from kafka.errors import KafkaError  # type: ignore[import-untyped] # kafka-python has no type hints
from prometheus_client import CollectorRegistry

from millrace_common import client
from millrace_common.http import HealthServer
from millrace_common.logs import fields
from millrace_common.service import run_service
from outbox_relay.outbox import Outbox
from outbox_relay.relay import Relay
from outbox_relay.settings import Settings

if TYPE_CHECKING:
    import threading

    from outbox_relay.relay import Producer

log = logging.getLogger(__name__)
RECOVERABLE: tuple[type[Exception], ...] = (psycopg2.Error, KafkaError)


def connect_producer(settings: Settings) -> Producer:
    """Return an idempotent producer that takes large rows; KafkaError if no broker answers."""
    return client.connect(
        settings.kafka, settings.name, 5, settings.ack_timeout_s, settings.max_request_bytes
    )


def run(settings: Settings, stop: threading.Event) -> int:
    """Run the whole service: HTTP server and relay."""
    registry = CollectorRegistry()
    relay = Relay(
        settings,
        stop,
        registry,
        lambda: Outbox(settings.postgres, settings.outbox, settings.name),
        lambda: connect_producer(settings),
        RECOVERABLE,
    )
    with HealthServer(settings.http, registry) as server:
        server.add_check("relay", relay.check)
        log.info("started", extra=fields(http_port=server.port))
        relay.run()
    log.info("ended")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM, then 0; 1 after an error beyond recovery, 2 for wrong settings."""
    return run_service("outbox-relay", "Publish an outbox to Kafka.", Settings, run, arguments)
