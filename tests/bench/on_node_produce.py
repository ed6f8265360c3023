"""Runs on the apps node: sends readings of the bench's sensors, of a known seed.

Input: a line {"client", "topic", "partitions", "sensors", "seed", "anomaly_share", "count", "begin", "step",
"rate"}. `sensors` are [id, type]; sensor number i goes to partition
i modulo `partitions`, so that all get an equal share and each sensor keeps to one. Readings take turns; the
events lie at `begin` (microseconds since 1970) and every `step` microseconds after it for each sensor, or,
where `rate` is given, at the moment of sending, `rate` a second. `count` is null to go on until the end of
the input. Output: {"offsets": {partition: [first, end]}, "sent", "seconds"}.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from typing import Any

from kafka import KafkaProducer  # type: ignore[import-untyped] # kafka-python has no type hints

from sensors_contract.readings import encode, format_time
from sensors_generator.signals import readings

WAIT = 120
MOST_OPEN = (
    20_000  # messages that wait for their acknowledgement: this client's buffer has no limit of its own
)

given = json.loads(sys.stdin.readline())
stop = threading.Event()


def listen() -> None:
    """Wait for the end of standard input."""
    sys.stdin.read()
    stop.set()


if given["count"] is None:
    threading.Thread(target=listen, daemon=True).start()
producer = KafkaProducer(
    acks="all",
    enable_idempotence=True,
    linger_ms=5,
    batch_size=128 << 10,
    max_block_ms=WAIT * 1000,
    **given["client"],
)
sensors = [
    (
        number % given["partitions"],
        sensor,
        kind,
        readings(given["seed"], sensor, kind, given["anomaly_share"]),
    )
    for number, (sensor, kind) in enumerate(given["sensors"])
]
pending: deque[Any] = deque()
offsets: dict[int, list[int]] = {}


def settle(most: int) -> None:
    """Wait until no more than `most` messages are unacknowledged; an error of the brokers ends all."""
    while len(pending) > most:
        sent = pending.popleft().get(timeout=WAIT)
        place = offsets.setdefault(sent.partition, [sent.offset, sent.offset])
        place[0], place[1] = min(place[0], sent.offset), max(place[1], sent.offset + 1)


number, rate = 0, given["rate"]
began, last = time.monotonic(), 0
while not stop.is_set() and (given["count"] is None or number < given["count"]):
    if rate:
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        # No two readings of one moment, also where the clock stands still.
        moment = last = max(time.time_ns() // 1000, last + 1)
    else:
        moment = given["begin"] + number // len(sensors) * given["step"]
    partition, sensor, kind, values = sensors[number % len(sensors)]
    key, value = encode(sensor, kind, next(values), format_time(moment))
    pending.append(producer.send(given["topic"], value, key, partition=partition))
    number += 1
    settle(MOST_OPEN)
producer.flush(timeout=WAIT)
settle(0)
json.dump({"offsets": offsets, "sent": number, "seconds": time.monotonic() - began}, sys.stdout)
