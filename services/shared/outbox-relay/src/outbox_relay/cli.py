"""The command `outbox-relay --config FILE`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import psycopg2
from kafka import KafkaProducer  # type: ignore[import-untyped] # kafka-python has no type hints
from kafka.errors import KafkaError  # type: ignore[import-untyped] # the same
from prometheus_client import CollectorRegistry

from millrace_common.http import HealthServer
from millrace_common.logs import fields
from millrace_common.service import run_service
from outbox_relay.outbox import Outbox
from outbox_relay.relay import Producer, Relay
from outbox_relay.settings import Settings

if TYPE_CHECKING:
    import threading

log = logging.getLogger(__name__)
RECOVERABLE: tuple[type[Exception], ...] = (psycopg2.Error, KafkaError)


def connect_producer(settings: Settings) -> Producer:
    """Return an idempotent producer that takes large rows; KafkaError if no broker answers."""
    producer: Producer = KafkaProducer(
        **settings.kafka.client_arguments(),
        client_id=settings.name,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_request_size=settings.max_request_bytes,
        delivery_timeout_ms=settings.ack_timeout_s * 1000,
        max_block_ms=10_000,
        bootstrap_timeout_ms=10_000,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
    return producer


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
