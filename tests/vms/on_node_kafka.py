"""Runs on a broker's node. Its first line says what to do: {"do", "topic", "client"}.

`produce`: sends each further line, a number, and prints it when the brokers have acknowledged it.
`consume`: prints all numbers of the topic.
"""

from __future__ import annotations

import json
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # type: ignore[import-untyped] # kafka-python has no type hints

MARK = b"millrace-vm-test"
given = json.loads(sys.stdin.readline())
if given["do"] == "produce":
    producer = KafkaProducer(acks="all", delivery_timeout_ms=300000, max_block_ms=300000, **given["client"])
    for line in sys.stdin:
        producer.send(given["topic"], line.strip().encode(), headers=[(MARK.decode(), b"")]).get(timeout=300)
        sys.stdout.write(line)
        sys.stdout.flush()
else:
    consumer = KafkaConsumer(enable_auto_commit=False, **given["client"])
    partitions = [
        TopicPartition(given["topic"], one) for one in consumer.partitions_for_topic(given["topic"])
    ]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for messages in consumer.poll(timeout_ms=1000).values():
            for message in messages:
                if MARK.decode() in dict(message.headers):
                    sys.stdout.write(message.value.decode() + "\n")
