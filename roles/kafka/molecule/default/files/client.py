"""A client of the scenario's cluster: what must work, what must be refused. Argument: brokers' names."""  # noqa: INP001 - a script

import hashlib
import sys
from collections.abc import Callable

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import GroupAuthorizationFailedError, KafkaError, MessageSizeTooLargeError
from kafka.errors import TopicAuthorizationFailedError as TopicRefusedError

HOSTS = sys.argv[1].split(",")
TLS = {
    "security_protocol": "SASL_SSL",
    "ssl_cafile": "/etc/millrace/pki/ca.crt",
    "sasl_mechanism": "SCRAM-SHA-512",
}
SIX_MB = 6_000_000


def settings(user: str, password: str | None = None) -> dict[str, object]:
    """Return a user's settings; the scenario's passwords are hashes of the names."""
    password = password or hashlib.sha256(user.encode()).hexdigest()
    servers = [f"{host}:9092" for host in HOSTS]
    return {**TLS, "bootstrap_servers": servers, "sasl_plain_username": user, "sasl_plain_password": password}


def refused(what: str, error: type[BaseException], action: Callable[[], object]) -> None:
    """Fail unless the action ends with this error."""
    try:
        action()
    except error as raised:
        sys.stdout.write(f"{what}: refused ({type(raised).__name__})\n")
        return
    message = f"{what}: allowed"
    raise AssertionError(message)


def send(producer: KafkaProducer, topic: str, size: int) -> object:
    """Send one message and wait until it is acknowledged."""
    return producer.send(topic, key=b"key", value=b"x" * size).get(60)


def read(user: str, topic: str, group: str | None) -> int:
    """Read one message and return its size."""
    consumer = KafkaConsumer(
        topic,
        group_id=group,
        auto_offset_reset="earliest",
        consumer_timeout_ms=60000,
        max_partition_fetch_bytes=8_000_000,
        **settings(user),
    )
    try:
        return len(next(consumer).value)
    finally:
        consumer.close()


def main() -> None:
    """Try everything in turn."""
    producer = KafkaProducer(
        acks="all",
        enable_idempotence=True,
        max_request_size=20_000_000,
        **settings("writer"),
    )
    send(producer, "big", SIX_MB)
    if (size := read("reader", "big", "reader-1")) != SIX_MB:
        message = f"read {size} bytes instead of {SIX_MB}"
        raise AssertionError(message)
    refused(
        "a message above the topic's limit",
        MessageSizeTooLargeError,
        lambda: send(producer, "big", 7_000_000),
    )
    refused("a topic of somebody else", TopicRefusedError, lambda: send(producer, "foreign", 10))
    refused("reading without the right to", TopicRefusedError, lambda: read("writer", "big", None))
    refused("a group of somebody else", GroupAuthorizationFailedError, lambda: read("reader", "big", "other"))
    short = {"bootstrap_timeout_ms": 8000}
    refused("a wrong password", KafkaError, lambda: KafkaProducer(**settings("writer", "wrong"), **short))
    plain = {"bootstrap_servers": [f"{HOSTS[0]}:9092"], "security_protocol": "PLAINTEXT"}
    refused("plaintext", KafkaError, lambda: KafkaProducer(**plain, **short))
    bare = {
        "bootstrap_servers": [f"{HOSTS[0]}:9093"],
        "security_protocol": "SSL",
        "ssl_cafile": TLS["ssl_cafile"],
    }
    refused("a node's listener without a certificate", KafkaError, lambda: KafkaProducer(**bare, **short))


if __name__ == "__main__":
    main()
