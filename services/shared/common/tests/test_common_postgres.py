"""PostgreSQL settings: a verified server, a password that shows nowhere, errors that name the key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from millrace_common.config import ConfigError, parse_config
from millrace_common.postgres import PostgresSettings

if TYPE_CHECKING:
    from pathlib import Path

POSTGRES = {
    "host": "db-1",
    "username": "me",
    "database": "sensors",
    "password": "hush",
    "ca_file": "/ca.crt",
}


def postgres(**changes: object) -> PostgresSettings:
    return parse_config(POSTGRES | changes, PostgresSettings)


def test_the_server_is_verified_and_its_loss_noticed() -> None:
    arguments = postgres(port=5433).connect_arguments("example")
    wanted = {
        "host": "db-1",
        "port": 5433,
        "dbname": "sensors",
        "user": "me",
        "password": "hush",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.crt",
        "application_name": "example",
    }
    assert wanted.items() <= arguments.items()
    probing = arguments["keepalives_idle"] + arguments["keepalives_interval"] * arguments["keepalives_count"]
    assert max(probing, arguments["connect_timeout"], arguments["tcp_user_timeout"] / 1000) <= 30


def test_the_arguments_can_go_to_another_process() -> None:
    arguments = postgres().connect_arguments("example")
    assert json.loads(json.dumps(arguments)) == arguments


def test_the_text_of_the_settings_has_no_password() -> None:
    assert repr(postgres()) == str(postgres()) == "PostgresSettings(db-1:5432/sensors as me)"


def test_a_password_file_is_read_without_its_line_feed(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("quiet \n", encoding="utf-8")
    settings = postgres(password=None, password_file=str(path))
    assert settings.connect_arguments("example")["password"] == "quiet "  # noqa: S105 - an example


def test_without_tls_no_authority_is_named() -> None:
    assert "sslrootcert" not in postgres(sslmode="disable", ca_file=None).connect_arguments("example")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ca_file": None}, "ca_file: is missing; verify-full needs it"),
        ({"password": None}, "password: give exactly one of password and password_file"),
        ({"password_file": "/p"}, "password: give exactly one of password and password_file"),
        ({"password": 7}, "password: expected a text, got something else"),
        ({"sslmode": "require"}, "sslmode: expected one of 'verify-full', 'disable', got \"require\""),
        ({"port": 0}, "port: expected at least 1, got 0"),
        ({"user": "me"}, "user: unknown key; did you mean 'username'?"),
    ],
)
def test_the_wrong_key_is_named(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        postgres(**changes)
    assert str(caught.value) == line
