"""PostgreSQL client settings and their translation into connection parameters of libpq."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from millrace_common.config import ConfigError, setting
from millrace_common.passwords import password_problems, read_password


@dataclass(frozen=True, repr=False)
class PostgresSettings:
    """How to reach and log in to a database.

    With verify-full (the default) the server must show a certificate for `host` from the authority in
    `ca_file`; disable is for tests alone. Either `password` or `password_file` is needed.
    """

    host: str
    username: str
    database: str
    port: int = setting(5432, minimum=1, maximum=65535)
    sslmode: Literal["verify-full", "disable"] = "verify-full"
    ca_file: str | None = None
    password: str | None = None
    password_file: str | None = None

    def __post_init__(self) -> None:
        """Hold the keys against one another."""
        errors = []
        if self.sslmode == "verify-full" and not self.ca_file:
            errors.append("ca_file: is missing; verify-full needs it")
        errors += password_problems(self.password, self.password_file)
        if errors:
            raise ConfigError("\n".join(errors))

    def __repr__(self) -> str:
        """Return the settings without the password, so that no log shows it."""
        return f"PostgresSettings({self.host}:{self.port}/{self.database} as {self.username})"

    def connect_arguments(self, application_name: str) -> dict[str, Any]:
        """Return the keyword arguments of psycopg2.connect: texts and numbers that can go to another process.

        The password is among them, so they are for memory and encrypted channels alone; OSError if its file
        can't be read. A server that is gone is noticed within half a minute. `application_name` is what the
        server's own lists and logs call the connection.
        """
        arguments: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.username,
            "password": read_password(self.password, self.password_file),
            "sslmode": self.sslmode,
            "application_name": application_name,
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
        return arguments | ({"sslrootcert": self.ca_file} if self.ca_file else {})
