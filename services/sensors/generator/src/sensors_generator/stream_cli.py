"""The command `sensors-test-stream`: prints a test stream, or sends it and prints what must come of it."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kafka import KafkaProducer  # type: ignore[import-untyped] # kafka-python has no type hints

from millrace_common.config import ConfigError, load_config
from millrace_common.kafka import KafkaSettings  # noqa: TC001 - the settings reader resolves it at run time
from sensors_generator.signals import PROFILES
from sensors_generator.stream import Item, scenario, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_REQUEST = 6 * 1024 * 1024
WINDOW = 2000  # unacknowledged messages at most
ACK_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class SendSettings:
    """Where to send a test stream."""

    kafka: KafkaSettings
    topic: str = "sensors.measurements"


def parse_sensors(text: str) -> dict[str, str]:
    """Return id -> type from "id=type,id=type"; ValueError says what is right."""
    pairs = dict(part.partition("=")[::2] for part in text.split(","))
    if wrong := [name for name, kind in pairs.items() if kind not in PROFILES]:
        message = f"expected id=type with a type of {', '.join(PROFILES)}; wrong: {', '.join(wrong)}"
        raise ValueError(message)
    return pairs


def lines(items: Iterable[Item]) -> Iterator[str]:
    """Yield each message as a line of JSON, bytes in base64."""
    for item in items:
        yield json.dumps(
            {
                "key_base64": None if item.key is None else base64.b64encode(item.key).decode(),
                "value_base64": None if item.value is None else base64.b64encode(item.value).decode(),
                "outcome": item.expected.outcome,
                "sensor_id": item.expected.sensor_id,
                "reason": item.expected.reason,
                "rules": item.rules,
                "duplicate_of": item.duplicate_of,
                "note": item.note,
            },
            ensure_ascii=False,
        )


def send(items: Iterable[Item], settings: SendSettings, rate: float | None) -> None:
    """Send all in order, at most `rate` a second; an exception of kafka-python if any message is refused."""
    producer = KafkaProducer(
        **settings.kafka.client_arguments(),
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_request_size=MAX_REQUEST,
        delivery_timeout_ms=ACK_TIMEOUT_S * 1000,
        allow_auto_create_topics=False,
    )
    began = time.monotonic()
    futures = []
    for number, item in enumerate(items):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        futures.append(producer.send(settings.topic, key=item.key, value=item.value))
        if len(futures) >= WINDOW:
            futures.pop(0).get(timeout=ACK_TIMEOUT_S)
    for future in futures:
        future.get(timeout=ACK_TIMEOUT_S)
    producer.close(timeout=10)


def main(arguments: list[str] | None = None) -> int:
    """Print or send; 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="sensors-test-stream", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--sensors", type=parse_sensors, required=True, help="id=type,id=type")
    parser.add_argument("--start", required=True, help="first event time, ISO 8601 with zone")
    parser.add_argument("--huge-bytes", type=int, default=0, help="size of the first too large message")
    parser.add_argument("--config", type=Path, help="{kafka, topic} as JSON: send there and print a summary")
    parser.add_argument("--rate", type=float, help="messages a second, at most")
    options = parser.parse_args(arguments)
    start = datetime.fromisoformat(options.start)
    if start.tzinfo is None:
        parser.error("--start needs a zone, for example 2026-11-21T19:00:00Z")
    items = list(
        scenario(
            options.seed, options.count, options.sensors, start.astimezone(UTC), huge_bytes=options.huge_bytes
        )
    )
    if options.config is None:
        sys.stdout.writelines(f"{line}\n" for line in lines(items))
        return 0
    try:
        settings = load_config(options.config, SendSettings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    send(items, settings, options.rate)
    sys.stdout.write(json.dumps(summary(items), ensure_ascii=False) + "\n")
    return 0
