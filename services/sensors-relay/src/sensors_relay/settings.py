"""The settings of the relay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from millrace_common.config import ConfigError, setting
from millrace_common.http import HttpSettings  # noqa: TC001 - the settings reader resolves it at run time
from millrace_common.kafka import KafkaSettings  # noqa: TC001 - the settings reader resolves it at run time


@dataclass(frozen=True, repr=False)
class PostgresSettings:
    """How to reach the database; TLS with a verified server name unless `sslmode` says otherwise (tests)."""

    host: str
    username: str
    port: int = setting(5432, minimum=1, maximum=65535)
    database: str = "sensors"
    sslmode: Literal["verify-full", "disable"] = "verify-full"
    ca_file: str | None = None
    password: str | None = None
    password_file: str | None = None

    def __post_init__(self) -> None:
        """Hold the keys against one another."""
        errors = []
        if self.sslmode == "verify-full" and not self.ca_file:
            errors.append("ca_file: is missing; verify-full needs it")
        if (self.password is None) == (self.password_file is None):
            errors.append("password: give exactly one of password and password_file")
        if errors:
            raise ConfigError("\n".join(errors))

    def __repr__(self) -> str:
        """Return the settings without the password, so that no log shows it."""
        return f"PostgresSettings({self.host}:{self.port}/{self.database} as {self.username})"

    def connect_arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of psycopg2.connect; a dead peer is noticed within half a minute."""
        password = self.password
        if self.password_file is not None:
            password = Path(self.password_file).read_text(encoding="utf-8").rstrip("\n")
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.username,
            "password": password,
            "sslmode": self.sslmode,
            "connect_timeout": 10,
            "application_name": "sensors-relay",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
        if self.ca_file:
            arguments["sslrootcert"] = self.ca_file
        return arguments


@dataclass(frozen=True)
class Settings:
    """Where from, where to, how often and how much at once."""

    kafka: KafkaSettings
    postgres: PostgresSettings
    http: HttpSettings
    poll_ms: int = setting(300, minimum=10, maximum=60_000)
    """The pause after the outbox was found empty."""
    batch_rows: int = setting(500, minimum=1, maximum=100_000)
    batch_bytes: int = setting(16_777_216, minimum=1)
    """A batch ends with the row that reaches this many bytes, so that large rows don't pile up in memory."""
    max_request_bytes: int = setting(12_582_912, minimum=1024)
    ack_timeout_s: float = setting(60.0, minimum=1)
    """A batch whose acknowledgements take longer is given up, its rows stay and are sent again."""
    healthy_within_s: float = setting(15.0, minimum=1)
    """Unhealthy when no round has succeeded for this long."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
