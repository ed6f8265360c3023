"""Runs on the apps node: sends the messages that come on standard input and tells of each one acknowledged.

Input: one line {"client", "topic", "prefix"}, then lines [index, key, value], these two in base64 or null.
Output: a line [index, partition, offset] for each acknowledged message, as soon as it is. The first message
that the brokers refuse ends it.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import deque
from typing import Any

from kafka import KafkaProducer  # type: ignore[import-untyped] # kafka-python has no type hints

WAIT = 300  # seconds for the brokers to take a message, longer than any fault lasts
given = json.loads(sys.stdin.readline())
producer = KafkaProducer(
    acks="all",
    enable_idempotence=True,
    linger_ms=5,
    max_block_ms=WAIT * 1000,
    delivery_timeout_ms=WAIT * 1000,
    max_request_size=16 << 20,
    **given["client"],
)
pending: deque[tuple[int, Any]] = deque()


def tell(*, all_of_them: bool) -> None:
    """Print what has been acknowledged, in order; wait for all of it at the end."""
    while pending and (all_of_them or pending[0][1].is_done):
        index, future = pending.popleft()
        sent = future.get(timeout=WAIT)
        sys.stdout.write(json.dumps([index, sent.partition, sent.offset]) + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    number, *texts = json.loads(line)
    key, value = (None if text is None else base64.b64decode(text) for text in texts)
    headers = [("millrace-test", f"{given['prefix']}/{number}".encode())]
    pending.append((number, producer.send(given["topic"], value, key, headers)))
    tell(all_of_them=False)
tell(all_of_them=True)
