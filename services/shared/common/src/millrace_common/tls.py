"""TLS for kafka-python 3.0: a reset or a silent broker ends one connection and not the whole client.

Its loop that refreshes the metadata survives a KafkaError alone. A broker that resets the connection before
TLS begins makes `wrap_socket` raise an OSError, which ends the loop for good: the client learns of no new
leader any more. And its handshake has no time limit: a broker that accepts and then says nothing holds the
loop for as long as it likes. Needs kafka-python, which services that send depend on.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import weakref
from typing import Any

from kafka.errors import KafkaConnectionError  # type: ignore[import-untyped] # kafka-python has no type hints

HANDSHAKE_S = 4.0


def _give_up(reference: weakref.ref[LimitedSocket]) -> None:
    """Shut the socket down, which wakes whoever waits for it, and makes its next step an error."""
    waiting = reference()
    if waiting is not None:
        with contextlib.suppress(OSError):  # it is closed already
            socket.socket.shutdown(waiting, socket.SHUT_RDWR)


class LimitedSocket(ssl.SSLSocket):
    """A TLS socket whose handshake has to end in HANDSHAKE_S seconds."""

    _limit: threading.Timer | None = None

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as the method that it extends
        """Take the handshake's next step; OSError when it failed or took too long."""
        if self._limit is None:
            self._limit = threading.Timer(HANDSHAKE_S, _give_up, [weakref.ref(self)])
            self._limit.daemon = True
            self._limit.start()
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except BaseException:
            self._limit.cancel()
            raise
        self._limit.cancel()


class Context(ssl.SSLContext):
    """A client's TLS context for kafka-python, which survives what is told at the top of this file."""

    sslsocket_class = LimitedSocket

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:  # noqa: ANN401 - passed through
        """Wrap a socket; KafkaConnectionError instead of any OSError."""
        try:
            return super().wrap_socket(*arguments, **options)
        except OSError as error:
            message = f"TLS could not begin: {error}"
            raise KafkaConnectionError(message) from error


def context(ca_file: str) -> Context:
    """Return a context that trusts the authority in `ca_file` alone; OSError if it can't be read."""
    made = Context(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_verify_locations(ca_file)
    return made
