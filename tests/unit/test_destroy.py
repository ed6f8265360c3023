"""What removes something asks first, and removes nothing of another environment."""

from __future__ import annotations

import json
import sys
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

import pytest

from millrace import cli, console
from millrace.model.catalogue import Catalogue
from millrace.model.topology import Network, Node, Topology
from millrace.model.validation import Environment
from millrace.providers import data_disks
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.provider import Lab
from millrace.verbs import destroy, scenarios

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NETWORK = Network(IPv4Network("10.77.0.0/24"), IPv4Address("10.77.0.1"), "millrace0")
NODES = {name: Node(name, ("kafka",), "10.77.0.11", 1, 512, 4) for name in ("b-1", "a-1")}
TOPOLOGY = Topology("lab", "lab", "lab.example", NETWORK, (), NODES)


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Stand in for the lab, whose daemon has a third node of ours; return the list of what was removed."""
    gone: list[str] = []
    found = [incus.Instance(*one) for one in (("old", "p", "Running", "me"), ("z", "p", "Running", "you"))]
    (tmp_path / "owner-id").write_text("me\n", encoding="utf-8")
    monkeypatch.setattr(destroy, "current_environment", lambda: Environment(TOPOLOGY, Catalogue({})))
    monkeypatch.setattr(destroy, "state_dir", lambda _: tmp_path)
    monkeypatch.setattr(destroy, "provider_of", lambda topology: Lab(topology, tmp_path))
    monkeypatch.setattr(daemon, "binary", lambda: "incusd")
    monkeypatch.setattr(incus, "running", lambda: True)
    monkeypatch.setattr(incus, "instances", lambda _: found)
    monkeypatch.setattr(Lab, "destroy", lambda _: gone.append("nodes"))
    monkeypatch.setattr(destroy, "forget", lambda *_, purge: gone.append(f"files, {purge=}"))
    monkeypatch.delenv("PURGE", raising=False)
    monkeypatch.delenv("YES", raising=False)
    return gone


def test_without_a_terminal_nothing_is_removed_unless_it_was_said_before(
    removed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert cli.main(["destroy"]) == 1
    assert removed == []
    told = capsys.readouterr()
    assert told.err == "millrace destroy: nothing was removed\n"
    assert "YES=1 says yes" in told.out
    monkeypatch.setenv("YES", "1")
    assert cli.main(["destroy"]) == 0
    assert removed == ["nodes", "files, purge=False"]


@pytest.mark.parametrize(("answer", "goes"), [("n", False), ("", False), ("y", True)])
def test_at_a_terminal_the_answer_counts(
    removed: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, *, goes: bool
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert cli.main(["destroy"]) == (0 if goes else 1)
    assert bool(removed) is goes


@pytest.mark.parametrize("purge", [False, True])
def test_what_goes_is_named_before_the_question(
    removed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, purge: bool
) -> None:
    said: list[str] = []

    def asked(_question: str) -> bool:
        said.append(capsys.readouterr().out)
        return False

    monkeypatch.setattr(destroy, "confirmed", asked)
    monkeypatch.setenv("PURGE", "1" if purge else "")
    assert cli.main(["destroy"]) == 1
    assert "nodes a-1, b-1, old with all their data (Incus project millrace-lab)" in said[0]
    assert "bridge millrace0" in said[0]
    assert "storage pool millrace" in said[0]
    assert ("secrets" in said[0]) is purge
    assert removed == []


def test_nobody_answers_for_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert not console.confirmed("Go on?")
    monkeypatch.setenv("YES", "1")
    assert console.confirmed("Go on?")


def test_destroy_leaves_the_containers_of_other_projects(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Molecule's, of whichever environment or clone, and another environment's nodes."""
    found = {
        "default": [incus.Instance("molecule-kafka-kafka-1", "default", "Running", None)],
        "millrace-lab": [incus.Instance("a-1", "millrace-lab", "Running", "me")],
        "millrace-b": [incus.Instance("a-1", "millrace-b", "Running", "me")],
    }
    commands: list[Sequence[str]] = []
    (tmp_path / "owner-id").write_text("me\n", encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(daemon, "binary", lambda: "incusd")
    monkeypatch.setattr(daemon, "take_down", lambda bridge: commands.append(("take_down", bridge.name)))
    monkeypatch.setattr(incus, "running", lambda: True)
    monkeypatch.setattr(incus, "instances", found.__getitem__)
    monkeypatch.setattr(incus, "query", lambda _: [f"/1.0/projects/{name}" for name in found])
    monkeypatch.setattr(incus, "incus", lambda *words: commands.append(words))
    monkeypatch.setattr("millrace.providers.terraform.required", lambda: "terraform")
    Lab(TOPOLOGY, tmp_path).destroy()
    assert commands == [
        ("delete", "--force", "--project", "millrace-lab", "a-1"),
        ("project", "delete", "millrace-lab"),
        ("take_down", "millrace0"),
    ]


def test_make_molecule_removes_what_its_scenarios_left(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["molecule-jvm-app-x-1", "molecule-mine", "kafka-dev-1", "molecule-kafka-kafka-1"]
    assert scenarios.containers(names, ["jvm_app", "kafka"]) == [
        "molecule-jvm-app-x-1",
        "molecule-kafka-kafka-1",
    ]
    commands: list[Sequence[str]] = []
    found = [incus.Instance(name, "default", "Running", None) for name in names]
    monkeypatch.setattr(incus, "instances", lambda _: found)
    monkeypatch.setattr(incus, "incus", lambda *words: commands.append(words))
    scenarios.clear(["kafka"])
    assert commands == [("delete", "--force", "--project", "default", "molecule-kafka-kafka-1")]


@pytest.mark.parametrize(
    ("resources", "left"),
    [
        ([], False),
        ([{"mode": "managed", "name": "data", "instances": [{}]}], True),
        ([{"mode": "managed", "name": "data", "instances": []}], False),
        ([{"mode": "managed", "name": "this", "instances": [{}]}], False),
    ],
)
def test_what_opens_the_data_disks_that_are_left_stays(
    resources: list[object], tmp_path: Path, *, left: bool
) -> None:
    state = tmp_path / "lab"
    (state / "terraform").mkdir(parents=True)
    (state / "terraform" / "terraform.tfstate").write_text(json.dumps({"resources": resources}))
    for name in ("vault.yml", "ssh_config"):
        (state / name).touch()
    destroy.forget(state, purge=False)
    assert (state / "terraform").exists() is left
    assert sorted(path.name for path in state.glob("*.*")) == ["vault.yml"]
    assert not (state / "ssh_config").exists()
    destroy.forget(state, purge=True)
    assert (state / "vault.yml").exists() is left


def test_where_data_disks_are_left_the_secrets_are_said_to_stay(tmp_path: Path) -> None:
    assert "secrets" in destroy.forgotten(tmp_path, purge=True, disks=False)
    told = destroy.forgotten(tmp_path, purge=True, disks=True)
    assert "secrets and Terraform's state stay with the data disks" in told
    assert data_disks.some_left([f"{data_disks.LEFT} a/b; DATA=a/b would"])
    assert not data_disks.some_left(["the data disks a/b with all that they hold"])


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["-h"], 0), (["--env", "x"], 2), (["x"], 2)])
def test_nothing_is_destroyed_for_words_that_are_not_read(
    words: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destroy, "destroy_main", lambda _: pytest.fail("it ran"))
    assert cli.main(["destroy", *words]) == status


def test_an_empty_environment_is_no_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENV", "")
    assert cli.main(["destroy"]) == 2
    assert capsys.readouterr().err.startswith("ENV is empty; leave it out for lab, or name one of: lab")


def test_a_reader_that_has_seen_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(_: list[str]) -> int:
        raise BrokenPipeError

    done: list[int] = []
    monkeypatch.setattr(destroy, "destroy_main", told)
    monkeypatch.setattr("os.dup2", lambda *_: done.append(1))
    assert cli.main(["destroy"]) == 1
    assert done == [1]
