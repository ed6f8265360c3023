"""A file that cannot be read is told in one line, which names it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from millrace import cli, paths
from millrace.access import remote
from millrace.console import MillraceError
from millrace.machine import bootstrap
from millrace.model import validation

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy what `make validate` reads, with the lab as its only environment."""
    for part in ("ansible", "roles", "Makefile", "tools"):
        (tmp_path / part).symlink_to(ROOT / part)
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "inventories" / "lab", tmp_path / "inventories" / "lab")
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    monkeypatch.setenv("ENV", "lab")
    return tmp_path


TOPOLOGY = "inventories/lab/topology.yml"
APPLICATION = "services/sensors/application.yml"
PROJECT = "services/sensors/job/pyproject.toml"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (TOPOLOGY, b"", f"{TOPOLOGY}: is empty"),
        (TOPOLOGY, b"# nothing\n", f"{TOPOLOGY}: is empty"),
        (TOPOLOGY, b"[a]", f"{TOPOLOGY}: must be a mapping, not ['a']"),
        (TOPOLOGY, b"a: \0", f"{TOPOLOGY}: not valid YAML: unacceptable character #x0000"),
        (TOPOLOGY, b"a: \xff", f"{TOPOLOGY}: must be text in UTF-8: "),
        (TOPOLOGY, b"a: 2026-13-01", f"{TOPOLOGY}: not valid YAML: month must be in 1..12"),
        (TOPOLOGY, b"a: &a {x: 1}\nb: {<<: *a}", f"{TOPOLOGY}:2: << is not read here; write the keys out"),
        (TOPOLOGY, b"a: !vault x", f"{TOPOLOGY}:1: the tag !vault is not read here; secrets stand in"),
        (APPLICATION, b"", f"{APPLICATION}: is empty"),
        (APPLICATION, b"a: \0", f"{APPLICATION}: not valid YAML: unacceptable character #x0000"),
        (PROJECT, b"", f"{PROJECT}: project.name: is missing; the file needs a table [project]"),
        (PROJECT, b"[project]\nname = 3", f"{PROJECT}: project.name: is missing"),
        (PROJECT, b"[", f"{PROJECT}: can't be read as TOML: "),
        (PROJECT, b"a = '\xff'", f"{PROJECT}: can't be read as TOML: "),
    ],
)
def test_a_broken_file_is_one_line(clone: Path, file: str, content: bytes, said: str) -> None:
    (clone / file).write_bytes(content)
    (line,) = validation.problems_of("lab")
    assert line.replace(f"{clone}/", "").startswith(said)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from: []", "from: [nobody]"),
        ("health: {type: http", "health: {type: htp"),
        ("type: unit}", "type: unit, port: ui}"),
    ],
)
def test_what_is_wrong_with_a_service_names_its_file(clone: Path, before: str, after: str) -> None:
    path = clone / APPLICATION
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    problems = validation.problems_of("lab")
    assert problems
    assert [line for line in problems if not line.startswith(f"{APPLICATION}: services.sensors-")] == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"10.77.0.0/24", b"10.77", "the topology's network.cidr is wrong: "),
        (b"gateway: 10.77.0.1", b"gateway: 10.77", "the topology's network.gateway is wrong: "),
        (b"# The only", b"# \xff", f"{TOPOLOGY}: must be text in UTF-8, without NUL bytes"),
        (b"# The only", b"# \0", f"{TOPOLOGY}: must be text in UTF-8, without NUL bytes"),
    ],
)
def test_the_bootstrap_says_it_before_it_looks_at_the_machine(
    clone: Path, before: bytes, after: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (clone / TOPOLOGY).read_bytes()
    assert before in content
    (clone / TOPOLOGY).write_bytes(content.replace(before, after))
    monkeypatch.setattr(bootstrap, "repo_root", lambda: clone)
    monkeypatch.setattr(bootstrap, "look", lambda _: pytest.fail("the machine was looked at"))
    with pytest.raises(MillraceError) as caught:
        bootstrap.main([])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", [["diff"], ["restart", "kafka"]])
def test_what_runs_ansible_says_what_validate_says(
    clone: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "inventories" / "lab" / "group_vars" / "all.yml").write_text(
        "kafka_heep: 1g\n", encoding="utf-8"
    )
    monkeypatch.setattr(remote, "become", lambda _: pytest.fail("Ansible was run"))
    assert cli.main(words) == 1
    (line,) = validation.problems_of("lab")
    assert capsys.readouterr().err == f"millrace {words[0]}: {line}\n"
