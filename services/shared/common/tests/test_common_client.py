"""What cures kafka-python 3.0.12, held against the library: resets, silent brokers, clients without end."""
# ruff: noqa: D102, D107 - the fakes' methods are those of what they stand for

from __future__ import annotations

import datetime as dt
import gc
import select
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer, TopicPartition  # type: ignore[import-untyped] # kafka-python has no type hints
from kafka.errors import (  # type: ignore[import-untyped] # the same
    IllegalStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
)
from kafka.net.transport import KafkaSSLTransport  # type: ignore[import-untyped] # the same
from kafka.partitioner.default import DefaultPartitioner  # type: ignore[import-untyped] # the same

from millrace_common import client, tls
from millrace_common.client import Connection, TopicClient
from millrace_common.config import parse_config
from millrace_common.kafka import KafkaSettings
from millrace_common.tls import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# The library, and Python's ssl, leave the socket of a failed connection to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Make real clients that have never seen a broker, and never will."""
    made: list[Any] = []

    async def nobody(*_: object, **__: object) -> None:
        raise KafkaConnectionError

    monkeypatch.setattr("kafka.net.manager.create_connection", nobody)  # it would leave sockets behind

    def make(**settings: object) -> Any:  # noqa: ANN401 - kafka-python has no type hints
        made.append(KafkaProducer(**{**settings, "bootstrap_servers": "127.0.0.1:1", "api_version": (4, 0)}))
        return made[-1]

    yield make
    while made:
        sender = made.pop()._sender  # noqa: SLF001 - it has no other way to end for good
        sender.force_close()
        sender.join(30)
        del sender
    gc.collect()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Return a file with key and certificate of localhost, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return a broker's and a client's end of a TCP connection, the client's as kafka-python has it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)  # noqa: FBT003 - the socket's own method
    yield theirs, ours
    theirs.close()
    ours.close()


def reset(broker: socket.socket) -> None:
    broker.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broker.close()


@pytest.mark.parametrize("ours", [True, False])
def test_a_reset_before_tls_is_an_error_that_the_library_takes(
    pair: tuple[socket.socket, socket.socket], authority: Path, *, ours: bool
) -> None:
    options = {"ssl_context": context(str(authority))} if ours else {"ssl_cafile": str(authority)}
    reset(pair[0])
    with pytest.raises(
        KafkaConnectionError if ours else ConnectionResetError
    ):  # the library's own lets it out
        KafkaSSLTransport(None, pair[1], host="localhost", **options)


def shake_hands(wrapped: ssl.SSLSocket) -> None:
    """Do what the library's transport does, on one connection."""
    while True:
        try:
            wrapped.do_handshake()
        except ssl.SSLWantReadError:
            assert select.select([wrapped], [], [], 60)[0], "nobody ended the wait"
        else:
            return


def test_a_broker_that_says_nothing_ends_the_handshake(
    pair: tuple[socket.socket, socket.socket], authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.1)
    with (
        context(str(authority)).wrap_socket(
            pair[1], server_hostname="localhost", do_handshake_on_connect=False
        ) as wrapped,
        pytest.raises(OSError, match=r"EOF|closed|reset"),
    ):
        shake_hands(wrapped)


@pytest.mark.parametrize("host", ["localhost", "elsewhere"])
def test_a_handshake_that_goes_well_is_left_alone_and_checks_the_name(
    pair: tuple[socket.socket, socket.socket], authority: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    timers = []

    class Timer(threading.Timer):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type] # passed through
            timers.append(self)

    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(tls, "HANDSHAKE_S", 3600)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority)
    failures: list[OSError] = []

    def serve() -> None:
        try:
            server.wrap_socket(pair[0], server_side=True).close()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    with context(str(authority)).wrap_socket(
        pair[1], server_hostname=host, do_handshake_on_connect=False
    ) as wrapped:
        if host == "localhost":
            shake_hands(wrapped)
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|not valid for"):
                shake_hands(wrapped)
    thread.join()
    assert bool(failures) == (host != "localhost")
    assert len(timers) == 1
    assert timers[0].finished.is_set(), "the limit is over with the handshake"


def pending(producer: KafkaProducer) -> Any:  # noqa: ANN401 - a future of kafka-python
    """Let the client have a message that it can't send, as no broker has told it of a topic."""
    future = producer._accumulator.append(TopicPartition("t", 0), None, b"k", b"v", [])[0]  # noqa: SLF001 - see above
    producer._sender.wakeup()  # noqa: SLF001 - see above
    return future


def test_a_client_with_messages_pending_is_ended_all_the_same(offline: Callable[..., Any]) -> None:
    producer = offline(max_block_ms=10)
    future = pending(producer)
    with pytest.raises(KafkaTimeoutError):
        producer.close(timeout=0.01)  # the library's own leaves it running
    assert producer._sender.is_alive()  # noqa: SLF001 - there is no other way to tell
    Connection(producer).close(0.01)
    producer._sender.join(30)  # noqa: SLF001 - as above
    assert not producer._sender.is_alive()  # noqa: SLF001 - as above
    assert isinstance(future.exception, IllegalStateError)
    with pytest.raises(IllegalStateError, match="already closed"):  # so its __del__ neither waits nor raises
        producer.send("t", b"v", b"k")


def test_a_client_can_be_abandoned_from_its_own_callback(offline: Callable[..., Any]) -> None:
    producer = offline(enable_idempotence=False, request_timeout_ms=20, delivery_timeout_ms=50)
    failed = threading.Event()
    one = TopicClient(Connection(producer), "t")
    future = pending(producer)

    def abandon(_: BaseException) -> None:
        one.abandon()
        failed.set()

    future.add_errback(abandon)
    assert failed.wait(30)
    producer._sender.join(30)  # noqa: SLF001 - there is no other way to tell
    assert not producer._sender.is_alive()  # noqa: SLF001 - as above


def test_the_library_takes_all_our_options(
    offline: Callable[..., Any], authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = parse_config(
        {
            "bootstrap_servers": ["127.0.0.1:1"],
            "ca_file": str(authority),
            "username": "u",
            "password": "p",
        },
        KafkaSettings,
    )
    monkeypatch.setattr(client, "KafkaProducer", offline)
    connection = client.connect(settings, "test", 5, 120.0, 2_000_000)
    manager = connection._producer._sender._client._manager  # noqa: SLF001 - where they take effect
    assert isinstance(manager.config["ssl_context"], tls.Context)
    assert manager.config["ssl_context"].check_hostname
    names = ("request_timeout_ms", "socket_connection_setup_timeout_ms", "metadata_max_age_ms")
    assert [manager.config[name] for name in names] == [4000, 4000, 3000]


class Cluster:
    """Knows a topic of some partitions, as the library's own and as a connection."""

    def __init__(self, count: int) -> None:
        self.numbers = set(range(count))

    def topics(self) -> set[str]:
        return {"t"}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return self.numbers

    available_partitions_for_topic = partitions_for_topic

    def partitions(self, _topic: str) -> list[int]:
        return sorted(self.numbers)


@given(key=st.binary(max_size=40), count=st.integers(1, 12))
def test_a_key_keeps_the_partition_that_the_library_gives_it(key: bytes, count: int) -> None:
    cluster = Cluster(count)
    theirs = DefaultPartitioner().partition("t", None, key, None, None, cluster)
    assert TopicClient(cluster, "t").lane(key) == theirs  # type: ignore[arg-type] # what is needed of a Connection
