"""What tests must keep away from is told before anything is done; what was not made leaves nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import shell

from millrace import cli, paths
from millrace.console import MillraceError, Phases
from millrace.model import lasting
from millrace.model.topology import load_topology
from millrace.providers.lab import daemon, incus
from millrace.verbs import phases

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()
LAB = (ROOT / "inventories" / "lab" / "topology.yml").read_text(encoding="utf-8")
MINI = (ROOT / "inventories" / "mini" / "topology.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (LAB, []),
        (MINI, []),
        (LAB.replace("disk: 20, disposable: true", "disk: 20"), ["db-1"]),
        (LAB.replace("disk: 20, disposable: true", "disk: 20, disposable: false"), ["db-1"]),
        (LAB.replace("disk: 20, disposable: true", "disk: 20} # disposable: true"), ["db-1"]),
        (MINI.replace("disposable: true", "disposable: yes"), []),
        (MINI.replace("    disposable: true\n", "", 1), ["kafka-1"]),
        (MINI.replace("    disposable: true\n", ""), ["kafka-1", "spark-1", "db-1"]),
        ('nodes: {a-1: {disposable: true}, "b-1": {groups: [x]}}\n', ["b-1"]),
        ("nodes: {a-1: {data: {x: 4}, disposable: true}, b-1: {data: {y: 4}, groups: [x]}}\n", ["b-1"]),
        ("nodes:\n  a-1: &a {disposable: true}\n  b-1: *a\nprovider: lab\n", []),
        ("nodes:\n", []),
        ("", []),
    ],
)
def test_lasting_nodes_are_found_in_the_text(text: str, names: list[str]) -> None:
    assert lasting.lasting_nodes(text) == names


@pytest.mark.parametrize("env", paths.environments())
def test_text_and_topology_say_the_same(env: str) -> None:
    path = ROOT / "inventories" / env / "topology.yml"
    assert lasting.lasting_nodes(path.read_text(encoding="utf-8")) == load_topology(path).lasting


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make what `make` needs of a clone, whose only environment has a lasting node."""
    for part in ("ansible.cfg", "Makefile", "requirements.txt", "services", "tests"):
        (tmp_path / part).symlink_to(ROOT / part)
    for path in (ROOT / "tools").rglob("*.*"):
        if path.is_file() and "egg-info" not in str(path) and path.suffix != ".pyc":
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "inventories" / "lab").mkdir(parents=True)
    text = LAB.replace("disk: 20, disposable: true", "disk: 20")
    (tmp_path / "inventories" / "lab" / "topology.yml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.mark.parametrize("verb", ["test", "chaos", "bench"])
def test_make_refuses_it_before_it_makes_the_tools(clone: Path, verb: str) -> None:
    done = subprocess.run(  # noqa: S603 - no shell, fixed words
        ["make", verb, f"PYTHON={sys.executable}", "ENV=lab"],  # noqa: S607 - the machine's own make
        env=shell.environment(),
        cwd=clone,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert shell.said(done.stdout) == [f"make {verb}: {lasting.refusal('lab', ['db-1'])}"]
    assert not (clone / ".venv").exists()
    assert not (clone / "state").exists()


def test_the_bootstrap_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "refused", lambda: "not this one")
    monkeypatch.setattr(phases, "_bootstrap", lambda: pytest.fail("the bootstrap was begun"))
    with pytest.raises(MillraceError, match="not this one"):
        phases.test(Phases())


@pytest.mark.parametrize("purge", ["", "1"])
@pytest.mark.parametrize("verb", ["destroy", "down", "start"])
def test_an_environment_that_was_never_made_leaves_no_state(
    verb: str, purge: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"XDG_STATE_HOME": str(tmp_path), "YES": "1", "PURGE": purge, "ENV": "lab"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(daemon, "binary", lambda: "incusd")
    monkeypatch.setattr(daemon, "take_down", lambda _: None)
    monkeypatch.setattr(incus, "running", lambda: True)
    monkeypatch.setattr(incus, "instances", lambda _: [])
    monkeypatch.setattr(incus, "query", lambda _: [])
    monkeypatch.setattr("millrace.providers.terraform.required", lambda: "terraform")
    assert cli.main([verb]) == (1 if verb == "start" else 0)
    assert list(tmp_path.iterdir()) == []
