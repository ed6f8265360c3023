"""The command line of every service: what it reads, what it runs, what it ends with."""

from __future__ import annotations

import json
import logging
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from millrace_common.config import setting
from millrace_common.service import run_service

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("_logging_restored", "_signals_restored")


@dataclass(frozen=True)
class Settings:
    """An example."""

    port: int = setting(minimum=1)
    log_level: Literal["DEBUG", "INFO"] = "INFO"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text('{"port": 7}', encoding="utf-8")
    return path


def command(run: Callable[[Settings, threading.Event], int], *arguments: object) -> int:
    return run_service("example", "An example.", Settings, run, [str(argument) for argument in arguments])


def never(_: Settings, __: threading.Event) -> int:
    message = "it was run"
    raise AssertionError(message)


@pytest.mark.parametrize("status", [0, 1])
def test_the_service_gets_its_settings_and_gives_the_exit_status(config: Path, status: int) -> None:
    seen = []

    def run(settings: Settings, stop: threading.Event) -> int:
        seen.append((settings, stop.is_set()))
        return status

    assert command(run, "--config", config) == status
    assert seen == [(Settings(7), False)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service(config: Path, number: int) -> None:
    def run(_: Settings, stop: threading.Event) -> int:
        assert signal.getsignal(number) not in {signal.SIG_DFL, signal.default_int_handler}
        os.kill(os.getpid(), number)
        return 0 if stop.wait(10) else 9

    assert command(run, "--config", config) == 0


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", ["detail", "news"]), ("INFO", ["news"])])
def test_it_logs_as_its_settings_say(
    config: Path, level: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(json.dumps({"port": 7, "log_level": level}), encoding="utf-8")

    def run(_: Settings, __: threading.Event) -> int:
        logging.getLogger("example").debug("detail")
        logging.getLogger("example").info("news")
        return 0

    assert command(run, "--config", config) == 0
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == shown


def test_an_error_is_logged_with_its_place_and_ends_the_service(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: Settings, __: threading.Event) -> int:
        return 1 // 0

    assert command(run, "--config", config) == 1
    (line,) = capsys.readouterr().out.splitlines()
    event = json.loads(line)
    assert (event["level"], event["message"]) == ("ERROR", "ended by an error")
    assert "in run\n" in event["error"]
    assert "ZeroDivisionError" in event["error"]


def test_a_check_runs_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(never, "--config", config, "--check") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_wrong_settings_are_told_a_line_each(
    config: Path, check: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('{"port": 0, "log_level": "LOUD"}', encoding="utf-8")
    assert command(never, "--config", config, *check) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{config}: port: expected at least 1, got 0",
        f"{config}: log_level: expected one of 'DEBUG', 'INFO', got \"LOUD\"",
    ]


@pytest.mark.parametrize("arguments", [[], ["--config", "/x", "--fast"]])
def test_a_wrong_command_line_is_told_with_the_right_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(never, *arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: example [-h] --config CONFIG [--check]\n")
