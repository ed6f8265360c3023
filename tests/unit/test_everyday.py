"""The everyday commands: an application's own, psql, topics; nothing is provisioned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.access import remote
from millrace.console import MillraceError
from millrace.model.applications import Application, Database
from millrace.model.commands import Command
from millrace.model.kafka import Topic
from millrace.model.validation import Environment, named_environment
from millrace.verbs import everyday

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAB = named_environment("lab")
OPTIONS = {"--room": "ROOM", "--from": "FROM"}
COUNT = Command("count", "Count.", "sensors-relay", ("door-count", "all"), OPTIONS)
AWAY = Command("replay", "Replay.", "sensors-replay", ("replay",), {})
DOORS = Application(
    "doors",
    Path("doors"),
    topics=(Topic("doors.opened"), Topic("doors.closed")),
    databases={"doors": Database("doors", "doors", (), "", "", {})},
    commands={"count": COUNT, "replay": AWAY},
)


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Return the list of commands that the process became."""
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(remote, "become", commands.append)
    monkeypatch.setattr(remote, "ssh_config", lambda: "ssh_config")
    for variable in ("DATABASE", *OPTIONS.values(), "SENSOR"):
        monkeypatch.delenv(variable, raising=False)
    return commands


def let_be(monkeypatch: pytest.MonkeyPatch, *applications: Application) -> Environment:
    """Let the lab have these applications beside its services."""
    made = replace(LAB, applications={one.name: one for one in applications})
    monkeypatch.setattr(everyday, "current_environment", lambda: made)
    return made


def test_a_command_gets_the_variables_that_it_declares_and_no_others(
    became: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_be(monkeypatch, DOORS)
    everyday.run_main(["count"])
    monkeypatch.setenv("ROOM", "the hall; reboot")
    monkeypatch.setenv("SENSOR", "temperature-1")
    everyday.run_main(["count"])
    everything, narrowed = became
    node = LAB.topology.members("relays")[0].name
    assert list(everything[-3:]) == [node, "--", "sudo door-count all"]
    assert list(narrowed[-3:]) == [node, "--", "sudo door-count all --room 'the hall; reboot'"]


@pytest.mark.usefixtures("became")
def test_a_command_whose_service_has_no_node_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    let_be(monkeypatch, DOORS)
    with pytest.raises(
        MillraceError, match="replay runs where sensors-replay does, which lab has no node for"
    ):
        everyday.run_main(["replay"])


@pytest.mark.usefixtures("became")
@pytest.mark.parametrize("name", ["", "coumt"])
def test_an_unknown_target_is_one_line_that_lists_targets_and_commands(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    let_be(monkeypatch, DOORS)
    with pytest.raises(MillraceError) as caught:
        everyday.run_main([name])
    (line,) = str(caught.value).splitlines()
    assert "TARGET is one of: up, bootstrap, " in line
    assert line.endswith(", count, replay")


@pytest.mark.usefixtures("became")
def test_a_target_of_the_makefile_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    let_be(monkeypatch, DOORS)
    with pytest.raises(MillraceError, match="call `make up`"):
        everyday.run_main(["up"])


def test_the_only_database_is_the_default_and_of_several_one_is_chosen(
    became: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = LAB.applications["sensors"]
    let_be(monkeypatch, sensors)
    everyday.psql_main([])
    let_be(monkeypatch, DOORS, sensors)
    with pytest.raises(MillraceError, match="DATABASE is missing; DATABASE is one of: doors, sensors"):
        everyday.psql_main([])
    monkeypatch.setenv("DATABASE", "door")
    with pytest.raises(MillraceError, match="no database 'door'; DATABASE is one of: doors, sensors"):
        everyday.psql_main([])
    monkeypatch.setenv("DATABASE", "doors")
    everyday.psql_main([])
    assert [command[-1].partition(" -d ")[2] for command in became] == ["sensors", "doors"]


def test_without_a_topic_the_declared_ones_are_listed_and_any_can_be_named(
    became: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_be(monkeypatch, DOORS)
    for verb in (everyday.consume_main, everyday.produce_main):
        with pytest.raises(MillraceError, match=r"TOPIC is missing; .*: doors\.opened, doors\.closed$"):
            verb([])
        verb(["__consumer_offsets"])
    assert ["--topic __consumer_offsets" in command[-1] for command in became] == [True, True]


@pytest.mark.parametrize(
    ("verb", "group"),
    [
        (everyday.psql_main, "timescaledb"),
        (everyday.consume_main, "kafka"),
        (everyday.produce_main, "kafka"),
    ],
)
def test_what_is_not_placed_cannot_be_asked(
    verb: Callable[[list[str]], None],
    group: str,
    became: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = {name: node for name, node in LAB.topology.nodes.items() if group not in node.groups}
    made = replace(LAB, topology=replace(LAB.topology, nodes=nodes))
    monkeypatch.setattr(everyday, "current_environment", lambda: made)
    monkeypatch.setenv("ENV", "lab")
    with pytest.raises(MillraceError, match=rf"^lab has no node in the group '{group}'$"):
        verb(["sensors.measurements"])
    assert became == []


def test_restart_calls_a_play_that_exists(
    became: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    everyday.restart_main(["kafka"])
    (command,) = became
    (play,) = [word for word in command if word.endswith(".yml")]
    assert (paths.repo_root() / play).is_file()
