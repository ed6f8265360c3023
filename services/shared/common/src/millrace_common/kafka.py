"""Kafka client settings and their translation into keyword arguments of kafka-python 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from millrace_common.config import ConfigError, setting
from millrace_common.passwords import password_problems, read_password


@dataclass(frozen=True, repr=False)
class KafkaSettings:
    """How to reach and log in to a cluster.

    `bootstrap_servers` are "host:port" texts. With SASL_SSL (the default) `ca_file`, `username` and either
    `password` or `password_file` are needed; PLAINTEXT is for tests alone.
    """

    bootstrap_servers: tuple[str, ...] = setting(minimum=1)
    security_protocol: Literal["SASL_SSL", "PLAINTEXT"] = "SASL_SSL"
    ca_file: str | None = None
    username: str | None = None
    password: str | None = None
    password_file: str | None = None

    def __post_init__(self) -> None:
        """Hold the keys against one another."""
        errors = [
            f"bootstrap_servers: expected texts like host:9092, got {server!r}"
            for server in self.bootstrap_servers
            if not server.rpartition(":")[0] or not server.rpartition(":")[2].isdecimal()
        ]
        if self.security_protocol == "SASL_SSL":
            needed = {"ca_file": self.ca_file, "username": self.username}
            errors += [f"{key}: is missing; SASL_SSL needs it" for key, value in needed.items() if not value]
            errors += password_problems(self.password, self.password_file)
        if errors:
            raise ConfigError("\n".join(errors))

    def __repr__(self) -> str:
        """Return the settings without the password, so that no log shows it."""
        return (
            f"KafkaSettings({','.join(self.bootstrap_servers)} {self.security_protocol} as {self.username})"
        )

    def read_password(self) -> str:
        """Return the password, from `password_file` (without its last line feed) if that is set."""
        return read_password(self.password, self.password_file)

    def client_arguments(self) -> dict[str, Any]:
        """Return the connection's keyword arguments for KafkaProducer, KafkaConsumer or KafkaAdminClient."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "security_protocol": self.security_protocol,
            # A broker that comes back is used again within seconds; the default backs off to 30 s.
            "reconnect_backoff_max_ms": 2000,
        }
        if self.security_protocol == "SASL_SSL":
            arguments |= {
                "ssl_cafile": self.ca_file,
                "ssl_check_hostname": True,
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.read_password(),
            }
        return arguments
