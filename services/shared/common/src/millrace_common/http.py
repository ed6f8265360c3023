"""A small HTTP server in a thread of its own: /healthz (200 or 503 with reasons) and /metrics."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from millrace_common.config import setting

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HttpSettings:
    """Where the server listens; port 0 takes a free one."""

    port: int = setting(minimum=0, maximum=65535)
    host: str = "127.0.0.1"


class HealthServer:
    """Serves the health and the metrics of one process.

    A check returns None when all is well, else the reason as a text; a check that raises counts as failed.
    """

    def __init__(self, settings: HttpSettings, registry: CollectorRegistry) -> None:
        """Bind the port (OSError if it is taken); nothing is answered before start()."""
        self._registry = registry
        self._checks: dict[str, Callable[[], str | None]] = {}
        self._details: dict[str, Callable[[], str]] = {}
        self._server = ThreadingHTTPServer((settings.host, settings.port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 1.0}, name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def add_check(self, name: str, check: Callable[[], str | None]) -> None:
        """Register `check` under `name`."""
        self._checks[name] = check

    def add_detail(self, name: str, detail: Callable[[], str]) -> None:
        """Show what `detail` returns under `name`; it makes nothing unhealthy."""
        self._details[name] = detail

    def health(self) -> tuple[HTTPStatus, dict[str, object]]:
        """Run all checks; the body is {"status": "ok"|"failed", "checks": {name: "ok"|reason}}.

        It has "details": {name: text} too, if any were added.
        """
        results = {name: self._run(name, check) for name, check in self._checks.items()}
        failed = any(reason is not None for reason in results.values())
        body = {name: reason or "ok" for name, reason in results.items()}
        status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
        details = {name: self._run(name, detail) for name, detail in self._details.items()}
        answer: dict[str, object] = {"status": "failed" if failed else "ok", "checks": body}
        return status, answer | ({"details": details} if details else {})

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @staticmethod
    def _run(name: str, check: Callable[[], str | None]) -> str | None:
        try:
            return check()
        except Exception as error:  # a check may fail in any way, and health must still answer
            log.exception("health check failed", extra={"fields": {"check": name}})
            return f"{type(error).__name__}: {error}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10  # seconds; a silent client must not hold a thread

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/healthz":
                    status, body = owner.health()
                    self._answer(status, "application/json", json.dumps(body).encode())
                elif path == "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(owner._registry))
                else:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there are /healthz and /metrics\n")

            def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
                log.debug(format, *args)

        return Handler
