"""The check of the Spark master's books, against pages as the master serves them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING, Any

import pytest

from millrace import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Page = dict[str, Any]


def page(used: list[int], granted: list[int], status: str = "ALIVE") -> Page:
    """Return the page of a master with these cores in use on its workers, and granted to its applications."""
    return {
        "status": status,
        "workers": [{"state": "ALIVE", "coresused": cores} for cores in used],
        "activeapps": [{"id": f"app-{number}", "cores": cores} for number, cores in enumerate(granted)],
    }


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a program
    """Return the program as a module, which does not wait between its looks."""
    path = paths.repo_root() / "roles/spark/files/spark-master-check"
    loader = SourceFileLoader("spark_master_check", str(path))
    spec = spec_from_loader("spark_master_check", loader)
    assert spec is not None
    module = module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "BETWEEN_LOOKS", 0.0)
    return module


@pytest.fixture
def serve() -> Iterator[Callable[[list[Page]], str]]:
    """Return a function that serves pages, one after another, and returns their address."""
    servers: list[HTTPServer] = []

    def start(pages: list[Page]) -> str:
        class Master(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(pages.pop(0)).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Master)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/json/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def restarts(
    check: Any,  # noqa: ANN401 - as above
    serve: Callable[[list[Page]], str],
    tmp_path: Path,
) -> Callable[[list[Page]], bool]:
    """Return a function that tells whether the check, shown these pages, asks for the restart."""

    def run(pages: list[Page]) -> bool:
        mark = tmp_path / "restarted"
        assert check.main([serve(pages), str(tmp_path), "touch", str(mark)]) == 0
        assert pages == []
        return mark.exists()

    return run


@pytest.mark.parametrize(
    ("pages", "restarted"),
    [
        ([page([1, 1, 1], [3])], False),
        ([page([0, 0, 0], [])], False),
        # What is left of an application that was counted twice, beside one that waits or has the other cores.
        ([page([2], [0]), page([2], [0])], True),
        ([page([2, 2, 2], [3]), page([2, 2, 2], [3])], True),
        # An application that has just ended.
        ([page([1, 1, 1], []), page([0, 0, 0], [])], False),
        ([page([2], [], status="RECOVERING")], False),
    ],
)
def test_a_master_with_cores_that_nobody_has_is_restarted(
    restarts: Callable[[list[Page]], bool], pages: list[Page], *, restarted: bool
) -> None:
    assert restarts(pages) is restarted


@pytest.mark.parametrize(
    ("pages", "restarted"),
    [
        ([page([1, 1], [1, 1])], False),
        ([page([1], [1]), page([1], [1])], True),
        ([page([0], []), page([0], [])], True),
        # They were about to register as the page was read.
        ([page([1], [1]), page([1, 1], [1, 1])], False),
        ([page([0], [], status="RECOVERING")], False),
    ],
)
def test_a_master_that_remembers_what_it_does_not_list_is_restarted(
    restarts: Callable[[list[Page]], bool], tmp_path: Path, pages: list[Page], *, restarted: bool
) -> None:
    for name in ("app_app-0", "app_app-1", "worker_worker-1"):
        (tmp_path / name).touch()
    assert restarts(pages) is restarted


def test_workers_that_are_gone_count_for_nothing(check: Any, tmp_path: Path) -> None:  # noqa: ANN401 - as above
    gone = page([2], [])
    gone["workers"][0]["state"] = "DEAD"
    assert check.wrong(gone, tmp_path) == set()


def test_a_master_that_does_not_answer_is_told_and_left_alone(
    check: Any,  # noqa: ANN401 - as above
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert check.main(["http://127.0.0.1:9/json/", str(tmp_path), "false"]) == 0
    assert "the master does not answer: " in capsys.readouterr().out


def test_a_restart_that_fails_is_a_failure(
    check: Any,  # noqa: ANN401 - as above
    serve: Callable[[list[Page]], str],
    tmp_path: Path,
) -> None:
    assert check.main([serve([page([2], []), page([2], [])]), str(tmp_path), "false"]) == 1
