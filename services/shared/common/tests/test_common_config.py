"""Settings: what is right is typed, what is wrong is named with what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from millrace_common.config import ConfigError, load_config, parse_config, setting
from millrace_common.kafka import KafkaSettings

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Inner:
    """An example."""

    name: str = setting(pattern="[a-z]+")
    share: float = setting(0.5, minimum=0, maximum=1)


@dataclass(frozen=True)
class Outer:
    """An example."""

    items: tuple[Inner, ...] = setting(minimum=1)
    kind: Literal["a", "b"] = "a"
    limit: int | None = None
    debug: bool = False


def test_reads_types_and_defaults() -> None:
    settings = parse_config({"items": [{"name": "x", "share": 1}], "limit": 3}, Outer)
    assert settings == Outer(items=(Inner("x", 1.0),), limit=3)
    assert isinstance(settings.items[0].share, float)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ([], "the settings: expected an object, got []"),
        ({}, "items: is missing; it has no default"),
        ({"items": []}, "items: expected a length of at least 1, got []"),
        ({"items": "x"}, 'items: expected a list, got "x"'),
        ({"items": [{"name": "x"}, {"name": 7}]}, "items[1].name: expected a text, got 7"),
        ({"items": [{"name": "X"}]}, 'items[0].name: expected a text like [a-z]+, got "X"'),
        ({"items": [{"name": "x", "share": 2}]}, "items[0].share: expected at most 1, got 2.0"),
        ({"items": [{"name": "x", "share": float("nan")}]}, "items[0].share: expected a number, got NaN"),
        ({"items": [{"name": "x"}], "limit": True}, "limit: expected a whole number, got true"),
        ({"items": [{"name": "x"}], "kind": "c"}, "kind: expected one of 'a', 'b', got \"c\""),
        ({"items": [{"name": "x"}], "debug": 1}, "debug: expected true or false, got 1"),
        ({"items": [{"name": "x"}], "limt": 1}, "limt: unknown key; did you mean 'limit'?"),
    ],
)
def test_names_the_wrong_key(data: object, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(data, Outer)
    assert str(caught.value) == line


def test_lists_all_errors_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"items": [{"name": 1}], "kind": 2}')
    with pytest.raises(ConfigError) as caught:
        load_config(path, Outer)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        [str(path), "items[0].name"],
        [str(path), "kind"],
    ]


@pytest.mark.parametrize(("text", "part"), [("{", "is not JSON"), (None, "can't be read: No such file")])
def test_names_an_unreadable_file(tmp_path: Path, text: str | None, part: str) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=part):
        load_config(path, Outer)


def kafka(**changes: object) -> dict[str, object]:
    return {
        "bootstrap_servers": ["kafka-1:9092"],
        "ca_file": "/ca.crt",
        "username": "me",
        "password": "hush",
    } | changes


def test_kafka_arguments_log_in_over_tls() -> None:
    settings = parse_config(kafka(), KafkaSettings)
    arguments = settings.client_arguments()
    assert arguments["security_protocol"] == "SASL_SSL"
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert arguments["sasl_plain_password"] == "hush"  # noqa: S105 - an example
    assert arguments["ssl_cafile"] == "/ca.crt"
    assert "hush" not in repr(settings)


def test_kafka_password_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("hush \n")
    settings = parse_config(kafka(password=None, password_file=str(path)), KafkaSettings)
    assert settings.client_arguments()["sasl_plain_password"] == "hush "  # noqa: S105 - an example


def test_kafka_plaintext_sends_no_password() -> None:
    settings = parse_config(kafka(security_protocol="PLAINTEXT"), KafkaSettings)
    assert not [key for key in settings.client_arguments() if key.startswith(("sasl", "ssl"))]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"bootstrap_servers": ["kafka-1"]},
            "bootstrap_servers: expected texts like host:9092, got 'kafka-1'",
        ),
        ({"ca_file": None}, "ca_file: is missing; SASL_SSL needs it"),
        ({"username": None}, "username: is missing; SASL_SSL needs it"),
        ({"password": None}, "password: give exactly one of password and password_file"),
        ({"password_file": "/p"}, "password: give exactly one of password and password_file"),
        ({"password": 7}, "password: expected a text, got something else"),
    ],
)
def test_kafka_names_the_wrong_key(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(kafka(**changes), KafkaSettings)
    assert str(caught.value) == line
