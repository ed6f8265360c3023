"""Spark's Kafka options, and the topic's partitions through the Kafka client that comes with Spark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millrace_common.kafka import KafkaSettings
    from sensors_job.config import JobSettings


def client_options(settings: KafkaSettings) -> dict[str, str]:
    """Return the Java client's settings. They hold the password: for memory and encrypted channels alone."""
    options = {
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "security.protocol": settings.security_protocol,
    }
    if settings.security_protocol == "SASL_SSL":
        user, password = (_quoted(value) for value in (settings.username or "", settings.read_password()))
        options |= {
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
            f"username={user} password={password};",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": settings.ca_file or "",
        }
    return options


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def source_options(settings: JobSettings, offsets: Mapping[int, int]) -> dict[str, str]:
    """Return the options of Spark's Kafka source that starts at `offsets` (partition -> next offset).

    minPartitions and maxRecordsPerPartition stay unset: one Kafka partition must be one task.
    """
    topic = settings.topics.measurements
    return {f"kafka.{key}": value for key, value in client_options(settings.kafka).items()} | {
        "subscribe": topic,
        "startingOffsets": json.dumps({topic: {str(p): offset for p, offset in sorted(offsets.items())}}),
        "maxOffsetsPerTrigger": str(settings.max_offsets_per_trigger),
        "failOnDataLoss": "true",
        "groupIdPrefix": settings.group_prefix,
    }


def unreachable(
    whose: str, topic: str, offsets: Mapping[int, int], available: Mapping[int, tuple[int, int]]
) -> str | None:
    """Return a line on the first of the next `offsets` that the topic does not have; None if it has all.

    `available` maps each partition to its earliest offset and its end; `whose` names the ledger.
    """
    for partition, (earliest, end) in sorted(available.items()):
        if not earliest <= offsets[partition] <= end:
            return (
                f"{topic}/{partition}: the {whose}'s next offset is {offsets[partition]}, but the topic has "
                f"{earliest} to {end}; see docs/exactly-once.md, 'When offsets are gone'"
            )
    return None


def available_offsets(
    jvm: Any,  # noqa: ANN401 - py4j has no types
    settings: KafkaSettings,
    topic: str,
) -> dict[int, tuple[int, int]]:
    """Return for each partition of `topic` its earliest offset and its end; `jvm` is the driver's."""
    admin_package = jvm.org.apache.kafka.clients.admin
    properties = jvm.java.util.HashMap()
    for key, value in client_options(settings).items():
        properties.put(key, value)
    admin = admin_package.AdminClient.create(properties)
    try:
        names = jvm.java.util.Collections.singleton(topic)
        description = admin.describeTopics(names).allTopicNames().get().get(topic)
        found: list[dict[int, int]] = []
        for spec in (admin_package.OffsetSpec.earliest(), admin_package.OffsetSpec.latest()):
            wanted = jvm.java.util.HashMap()
            for info in description.partitions():
                wanted.put(jvm.org.apache.kafka.common.TopicPartition(topic, info.partition()), spec)
            offsets = admin.listOffsets(wanted).all().get()
            found.append({tp.partition(): offsets.get(tp).offset() for tp in wanted.keySet()})
    finally:
        admin.close()
    earliest, end = found
    return {partition: (earliest[partition], end[partition]) for partition in earliest}


def lag(progress: Mapping[str, Any]) -> int | None:
    """Return how many messages lie beyond a batch by Spark's progress report; None if it doesn't say."""
    source = progress["sources"][0]
    latest, end = source.get("latestOffset"), source.get("endOffset")
    if not latest or not end:
        return None
    total: int = sum(
        offset - end.get(topic, {}).get(partition, 0)
        for topic, partitions in latest.items()
        for partition, offset in partitions.items()
    )
    return total
