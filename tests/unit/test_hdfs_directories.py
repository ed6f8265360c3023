"""What the module hdfs_directories does to directories, here in memory, and says of a NameNode's answers."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PATH = Path(__file__).parents[2] / "ansible/plugins/modules/hdfs_directories.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hdfs_directories", PATH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["hdfs_directories"] = module
    spec.loader.exec_module(module)
    return module


hdfs_directories: Any = load()

LAKE = {"path": "/lake", "owner": "hdfs", "group": "lake", "mode": "0770"}
SHARED = {"path": "/deep/shared", "owner": "x", "group": "y", "mode": "1777"}


class Memory:
    """Directories in memory, made as WebHDFS makes them: the caller's, in the group of what is above."""

    def __init__(self, **files: dict[str, str]) -> None:
        """Start with what is there, by path with underscores for slashes."""
        self.files = {f"/{name.replace('_', '/')}": entry for name, entry in files.items()}
        self.operations: list[str] = []

    def status(self, path: str) -> dict[str, str] | None:
        """Return a copy, so that only `put` changes anything."""
        return dict(self.files[path]) if path in self.files else None

    def put(self, operation: str, path: str, **parameters: str) -> None:
        """Carry out an operation, permissions without leading zeros as WebHDFS shows them."""
        self.operations.append(operation)
        if "permission" in parameters:
            parameters["permission"] = parameters["permission"].lstrip("0")
        if operation == "MKDIRS":
            parts = path.split("/")
            for number in range(2, len(parts) + 1):
                made = {"type": "DIRECTORY", "owner": "hdfs", "group": "supergroup", **parameters}
                self.files.setdefault("/".join(parts[:number]), made)
        else:
            self.files[path] |= parameters


def directory(**changed: str) -> dict[str, str]:
    return {"type": "DIRECTORY", "owner": "hdfs", "group": "lake", "permission": "770", **changed}


def bring(memory: Memory, *, check_mode: bool = False) -> list[str]:
    actions: list[str] = hdfs_directories.bring(memory, [LAKE, SHARED], check_mode=check_mode)
    return actions


def test_what_is_missing_is_made_and_a_second_run_changes_nothing() -> None:
    memory = Memory()
    assert bring(memory) == [
        "make /lake",
        "/lake: owner hdfs group lake",
        "/lake: permission 0770",
        "make /deep/shared",
        "/deep/shared: owner x group y",
        "/deep/shared: permission 1777",
    ]
    assert memory.files["/lake"] == directory()
    assert memory.files["/deep/shared"] == directory(owner="x", group="y", permission="1777")
    # What was made on the way is not for all to write to.
    assert memory.files["/deep"] == directory(group="supergroup", permission="755")
    memory.operations.clear()
    assert bring(memory) == []
    assert memory.operations == []


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (directory(owner="eve"), ["/lake: owner hdfs group lake"]),
        (directory(group="supergroup"), ["/lake: owner hdfs group lake"]),
        (directory(permission="777"), ["/lake: permission 0770"]),
        (
            directory(owner="eve", permission="1770"),
            ["/lake: owner hdfs group lake", "/lake: permission 0770"],
        ),
    ],
)
def test_what_differs_is_corrected(there: dict[str, str], told: list[str]) -> None:
    memory = Memory(lake=there, deep_shared=directory(owner="x", group="y", permission="1777"))
    assert bring(memory) == told
    assert memory.files["/lake"] == directory()


def test_checking_changes_nothing() -> None:
    memory = Memory(lake=directory(owner="eve"))
    assert bring(memory, check_mode=True) == ["/lake: owner hdfs group lake", "make /deep/shared"]
    assert memory.operations == []


def test_a_file_in_the_way_is_refused() -> None:
    with pytest.raises(hdfs_directories.DirectoryError, match="/lake is there already, and is no directory"):
        bring(Memory(lake=directory(type="FILE")))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, None),
        ({"path": "/"}, None),
        ({"path": "/a/b c"}, None),
        ({"path": "lake"}, "must be absolute"),
        ({"path": "/a//b"}, "single slashes"),
        ({"path": "/a/"}, "none at the end"),
        ({"path": "/a/../b"}, r"must not have \. or \.\."),
        ({"mode": "1777"}, None),
        ({"mode": "778"}, "must be three or four octal digits"),
        ({"mode": "2770"}, "1777 at most"),
        ({"mode": "u=rwx"}, "must be three or four octal digits"),
    ],
)
def test_wrong_descriptions_are_refused(changed: dict[str, str], told: str | None) -> None:
    found = hdfs_directories.check({**LAKE, **changed})
    assert (found is None) == (told is None)
    if told:
        with pytest.raises(AssertionError, match=told):
            raise AssertionError(found)


ANSWERS: dict[str, tuple[int, Any]] = {
    "GETFILESTATUS": (404, {"RemoteException": {"exception": "FileNotFoundException", "message": "none"}}),
    "MKDIRS": (200, {"boolean": True}),
    "SETPERMISSION": (403, {"RemoteException": {"exception": "SafeModeException", "message": "wait"}}),
    "SETOWNER": (200, None),
    "DELETE": (200, {"boolean": False}),
    "RENAME": (500, "no JSON"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, list[str]]]:
    """Answer as a NameNode would; gives the port and the requests that came."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            requests.append(f"{self.command} {self.path}")
            status, body = ANSWERS[parse_qs(urlsplit(self.path).query)["op"][0]]
            text = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_address[1], requests
        running.shutdown()


def test_a_namenode_is_asked_directly_whatever_proxy_the_node_has(
    server: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, requests = server
    # urllib reads the environment once.
    monkeypatch.setattr("urllib.request._opener", None)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert hdfs_directories.WebHdfs(port, "hdfs").status("/a b") is None
    requests.clear()


def test_a_namenode_is_asked_as_the_superuser(server: tuple[int, list[str]]) -> None:
    port, requests = server
    files = hdfs_directories.WebHdfs(port, "hdfs")
    assert files.status("/a b") is None
    files.put("MKDIRS", "/a b", permission="0770")
    files.put("SETOWNER", "/a b", owner="x", group="y")
    assert requests == [
        "GET /webhdfs/v1/a%20b?op=GETFILESTATUS&user.name=hdfs",
        "PUT /webhdfs/v1/a%20b?op=MKDIRS&user.name=hdfs&permission=0770",
        "PUT /webhdfs/v1/a%20b?op=SETOWNER&user.name=hdfs&owner=x&group=y",
    ]


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("SETPERMISSION", "SETPERMISSION of /a: SafeModeException: wait"),
        ("DELETE", "DELETE of /a was refused without a reason"),
        ("RENAME", "RENAME of /a: no JSON"),
        ("GETFILESTATUS", "GETFILESTATUS of /a was refused without a reason"),
    ],
)
def test_a_refusal_is_told(server: tuple[int, list[str]], operation: str, told: str) -> None:
    with pytest.raises(hdfs_directories.DirectoryError, match=told):
        hdfs_directories.WebHdfs(server[0], "hdfs").put(operation, "/a")


def test_a_namenode_that_does_not_answer_is_told() -> None:
    with pytest.raises(hdfs_directories.DirectoryError, match="the NameNode doesn't answer"):
        hdfs_directories.WebHdfs(9, "hdfs").status("/")
