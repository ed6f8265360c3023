"""Runs on the apps node: finds a round's messages in the topic, by the header that the sender gave them.

Input: {"client", "topic", "prefix", "offsets"}; output: {"ends", "messages"}, those from the offsets to the
ends as [partition, offset, broker's time in ms, index, SHA-256 of key or null, SHA-256 of value or null].
"""

from __future__ import annotations

import hashlib
import json
import sys

from kafka import KafkaConsumer, TopicPartition  # type: ignore[import-untyped] # kafka-python has no type hints


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 in hex."""
    return None if content is None else hashlib.sha256(content).hexdigest()


given = json.load(sys.stdin)
consumer = KafkaConsumer(enable_auto_commit=False, max_partition_fetch_bytes=16 << 20, **given["client"])
wanted = [TopicPartition(given["topic"], int(partition)) for partition in given["offsets"]]
ends = consumer.end_offsets(wanted)
consumer.assign(wanted)
for place in wanted:
    consumer.seek(place, given["offsets"][str(place.partition)])
messages = []
while any(consumer.position(place) < ends[place] for place in wanted):
    for records in consumer.poll(timeout_ms=1000).values():
        for record in records:
            mark = dict(record.headers).get("millrace-test", b"/").decode()
            prefix, _, index = mark.partition("/")
            if prefix == given["prefix"]:
                digests = digest(record.key), digest(record.value)
                messages.append([record.partition, record.offset, record.timestamp, int(index), *digests])
json.dump({"ends": {place.partition: ends[place] for place in wanted}, "messages": messages}, sys.stdout)
