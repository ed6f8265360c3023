"""The settings of the relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millrace_common.config import setting
from millrace_common.http import HttpSettings  # noqa: TC001 - the settings reader resolves it at run time
from millrace_common.kafka import KafkaSettings  # noqa: TC001 - the settings reader resolves it at run time
from millrace_common.postgres import PostgresSettings  # noqa: TC001 - the settings reader resolves it at run time


@dataclass(frozen=True)
class Settings:
    """Where from, where to, how often and how much at once.

    `name` is what Kafka, the database and the metrics call this relay; `outbox` is SCHEMA.TABLE.
    """

    kafka: KafkaSettings
    postgres: PostgresSettings
    http: HttpSettings
    outbox: str = setting(pattern=r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")
    """A table with the columns id, topic, key, value and created_at."""
    name: str = setting("outbox-relay", pattern=r"[a-z][a-z0-9-]*")
    poll_ms: int = setting(300, minimum=10, maximum=60_000)
    """The pause after the outbox was found empty."""
    batch_rows: int = setting(500, minimum=1, maximum=100_000)
    batch_bytes: int = setting(16_777_216, minimum=1)
    """A batch ends with the row that reaches this many bytes, so that large rows don't pile up in memory."""
    max_request_bytes: int = setting(12_582_912, minimum=1024)
    ack_timeout_s: float = setting(20.0, minimum=1)
    """A batch whose acknowledgements take longer is given up; its rows stay and are sent by a new client."""
    healthy_within_s: float = setting(15.0, minimum=1)
    """Unhealthy when no round has succeeded for this long."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
