"""The verbs down, start, molecule, diff and status, with stand-ins for the daemon, the nodes and Ansible."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from millrace import cli, console, paths
from millrace.access import remote, ssh
from millrace.console import CommandError, MillraceError, Phases, say
from millrace.model.catalogue import Catalogue
from millrace.model.topology import Network, Node, Topology
from millrace.model.validation import Environment
from millrace.providers.lab import image, incus
from millrace.providers.lab import nodes as lab
from millrace.providers.lab.incus import Instance
from millrace.providers.lab.provider import Lab
from millrace.verbs import durations, everyday, nodes, phases, scenarios, status, updates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = paths.repo_root()
ENVIRONMENTS = ", ".join(paths.environments())
PAGE = status.Status(nodes={"a": True}, units={}, sections={})


class Daemon:
    """Stands in for Incus: instances, and the commands that were given."""

    def __init__(self, *instances: Instance) -> None:
        """Start with these."""
        self.found = list(instances)
        self.commands: list[Sequence[str]] = []

    def instances(self, project: str) -> list[Instance]:
        """Return them all."""
        assert project == "millrace-lab"
        return self.found

    def incus(self, *words: str, stdin: str | None = None) -> str:
        """Note a command; what comes on its input is the network's settings alone."""
        assert stdin == (image.NETWORK if words[0] == "file" else None)
        self.commands.append(words)
        return ""


def instance(name: str, state: str = "Running", owner: str = "me") -> Instance:
    return Instance(name, "millrace-lab", state, owner)


def environment(monkeypatch: pytest.MonkeyPatch, folder: Path, daemon: Daemon) -> None:
    """Make a lab of the nodes a and b whose owner is `me`."""
    network = Network(IPv4Network("10.77.0.0/24"), IPv4Address("10.77.0.1"), "millrace0")
    listed = {name: Node(name, ("kafka",), "10.77.0.11", 1, 512, 4) for name in ("a", "b")}
    topology = Topology("lab", "lab", "lab.example", network, (), listed)
    (folder / "owner-id").write_text("me\n", encoding="utf-8")
    loaded = Environment(topology, Catalogue({}))
    monkeypatch.setattr(nodes, "current_environment", lambda: loaded)
    monkeypatch.setattr(nodes, "provider_of", lambda _: Lab(topology, folder))
    monkeypatch.setattr(lab, "require_daemon", lambda: None)
    monkeypatch.setattr(incus, "instances", daemon.instances)
    monkeypatch.setattr(incus, "incus", daemon.incus)
    monkeypatch.setattr(ssh, "wait_reachable", lambda *_: None)


def test_down_stops_our_own_nodes_and_names_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon(instance("a"), instance("b", "Stopped"), instance("c", owner="you"))
    environment(monkeypatch, tmp_path, daemon)
    assert nodes.down_main([]) == 0
    assert daemon.commands == [("stop", "--project", "millrace-lab", "--timeout", "120", "a")]
    said = capsys.readouterr().out
    assert "of another owner and left alone: c" in said
    assert "lab is stopped" in said


@pytest.mark.parametrize("instances", [[], [instance("a", owner="you")]])
def test_down_does_not_call_stopped_what_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    instances: list[Instance],
) -> None:
    daemon = Daemon(*instances)
    environment(monkeypatch, tmp_path, daemon)
    assert nodes.down_main([]) == 0
    assert daemon.commands == []
    said = capsys.readouterr().out
    assert "lab has no nodes to stop" in said
    assert "make start" not in said


def test_start_resumes_and_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    daemon = Daemon(instance("a", "Frozen"), instance("b", "Stopped"))
    environment(monkeypatch, tmp_path, daemon)
    assert nodes.start_main([]) == 0
    assert [command[0] for command in daemon.commands] == ["resume", "file", "start"]
    assert [command[-1] for command in daemon.commands] == ["a", f"b{image.NETWORK_FILE}", "b"]


@pytest.mark.parametrize(
    ("instances", "told"),
    [
        ([instance("a", "Stopped")], "b do not exist; `make up` makes them"),
        ([instance("a", "Stopped", "you"), instance("b", "Stopped")], "a .* belong to another owner"),
    ],
)
def test_start_says_at_once_what_it_cannot_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, instances: list[Instance], told: str
) -> None:
    daemon = Daemon(*instances)
    environment(monkeypatch, tmp_path, daemon)
    with pytest.raises(MillraceError, match=told):
        nodes.start_main([])
    assert daemon.commands == []


def test_molecule_starts_the_lab_again_that_it_could_stop_in_part_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []

    def millrace(*words: str) -> None:
        called.append(words[0])
        if words[0] == "down":
            raise CommandError(["millrace", "down"], 1, "a did not stop")

    monkeypatch.setattr(phases, "_prepare", lambda _: None)
    monkeypatch.setattr(phases, "_millrace", millrace)
    monkeypatch.setattr(incus, "instances", lambda _: [instance("a")])
    monkeypatch.setattr(scenarios, "run", lambda *_: pytest.fail("a scenario was run"))
    with pytest.raises(CommandError, match="a did not stop"):
        phases.molecule(Phases())
    assert called == ["image", "down", "start"]


def called_by(monkeypatch: pytest.MonkeyPatch, verb: Callable[[Phases], None]) -> tuple[list[str], list[str]]:
    """Run a verb with stand-ins for all that it calls; return the names of these and of its phases."""
    called: list[str] = []
    for variable in ("LIMIT", "TAGS"):
        monkeypatch.delenv(variable, raising=False)

    def streamed(command: Sequence[str | Path], **_: object) -> None:
        words = [str(word) for word in command]
        if "millrace.machine.bootstrap" in words:
            called.append("bootstrap")
        elif words[-1] == "--disposable":
            called.append("disposable")
        else:
            called.append(words[-1].rpartition("/")[2])

    def pytest_ran(command: Sequence[str | Path], *_: object, **__: object) -> int:
        assert Path(command[0]).name == "pytest"
        return 0

    monkeypatch.setattr(phases, "stream_checked", streamed)
    monkeypatch.setattr(phases, "stream", pytest_ran)
    monkeypatch.setattr(phases, "stream_lines", pytest_ran)
    measured = Phases()
    verb(measured)
    return called, list(measured.durations)


def test_the_machine_is_prepared_before_the_checks_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    called, names = called_by(monkeypatch, phases.test)
    assert called[:5] == ["bootstrap", "tools", "validate", "disposable", "check"]
    assert [called.count(name) for name in ("tools", "validate", "check", "provision", "smoke")] == [1] * 5
    # The second time is that of the idempotence test.
    assert called.count("bootstrap") == 2
    assert called[called.index("idempotence") - 1] == "bootstrap"
    assert names == [
        "bootstrap",
        "tool environment",
        "validate",
        "check",
        "provision",
        "deploy",
        "smoke",
        "idempotence test",
        "tests on the lab",
        "faults while data flows",
    ]


@pytest.mark.parametrize(("status", "beside"), [(0, 0), (1, 0), (0, 2)])
def test_tests_run_beside_those_of_the_lab_and_both_must_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, beside: int
) -> None:
    begun = threading.Barrier(2, timeout=60)
    selected: list[str] = []

    def ran(command: Sequence[str], each: Callable[[str], None] = say, **_: object) -> int:
        chosen = command[command.index("-m") + 1]
        selected.append(chosen)
        begun.wait()
        each(f"ran {chosen}")
        return beside if chosen == "apart" else status

    monkeypatch.setattr(phases, "_prepare", lambda _: None)
    monkeypatch.setattr(phases, "_millrace", lambda *_: None)
    monkeypatch.setattr(phases, "stream_checked", lambda *_, **__: None)
    monkeypatch.setattr(phases, "stream", ran)
    monkeypatch.setattr(phases, "stream_lines", ran)
    outcome = nullcontext() if status == beside else pytest.raises(MillraceError, match="pytest ended with")
    with outcome:
        phases.test(Phases())
    assert sorted(selected) == ["apart", "not apart"]
    said = capsys.readouterr().out.splitlines()
    assert said.index("ran not apart") < said.index("ran apart")


def test_up_has_the_same_phases_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    called, names = called_by(monkeypatch, phases.up)
    assert called == ["bootstrap", "tools", "validate", "provision", "ensure", "site.yml", "smoke"]
    assert names == ["bootstrap", "tool environment", "validate", "provision", "deploy", "smoke"]


def test_an_interrupted_verb_ends_with_its_durations_and_records_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    durations.path().parent.mkdir(parents=True)

    def interrupted(phases_: Phases) -> None:
        with phases_.phase("deploy"):
            raise KeyboardInterrupt

    monkeypatch.setitem(phases.VERBS, "up", interrupted)
    assert phases.main(["up"]) == console.INTERRUPTED
    assert "make up: interrupted" in (said := capsys.readouterr().out)
    assert "deploy" in said
    (run,) = durations.recorded()
    assert (run.verb, run.status, list(run.phases)) == ("up", console.INTERRUPTED, ["deploy"])
    assert run.seconds >= run.phases["deploy"] >= 0


def test_a_run_of_a_part_is_not_taken_for_one_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def done(phases_: Phases) -> None:
        with phases_.phase("scenarios"):
            pass

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    durations.path().parent.mkdir(parents=True)
    monkeypatch.setitem(phases.VERBS, "molecule", done)
    for role in ("kafka", ""):
        monkeypatch.setenv("ROLE", role)
        assert phases.main(["molecule"]) == 0
    assert [run.verb for run in durations.recorded()] == ["molecule of a part", "molecule"]


@pytest.mark.parametrize("verb", ["up", "test", "molecule"])
def test_a_long_verb_lists_the_right_environments(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENV", "nowhere")
    monkeypatch.setitem(phases.VERBS, verb, lambda _: pytest.fail("the verb was run"))
    assert phases.main([verb]) == 2
    assert capsys.readouterr().out == f"no environment 'nowhere'; ENV is one of: {ENVIRONMENTS}\n"


@pytest.mark.parametrize(("folder", "module"), [("chaos", "rounds"), ("bench", "bench")])
def test_so_do_chaos_and_bench(folder: str, module: str) -> None:
    places = [f"tests/{folder}", "tests/support", *map(str, sorted(ROOT.glob("services/*/*/src")))]
    done = subprocess.run(  # noqa: S603 - this Python, as the Makefile calls it
        [sys.executable, "-m", module],
        env={**os.environ, "ENV": "nowhere", "PYTHONPATH": ":".join(places)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == f"no environment 'nowhere'; ENV is one of: {ENVIRONMENTS}\n"
    assert (done.returncode, done.stdout) == (2, "")


def test_an_interrupted_command_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "main", interrupted)
    assert cli.main(["status"]) == console.INTERRUPTED


def test_diff_is_of_the_deploy_with_the_same_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    became: list[Sequence[str]] = []
    monkeypatch.setattr(remote, "become", became.append)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMIT", "apps-1")
    monkeypatch.setenv("TAGS", "sensors-relay")
    everyday.diff_main([])
    limits = ["--limit", "apps-1", "--tags", "sensors-relay"]
    assert became == [[*phases.deploy_command(), "--check", "--diff"]]
    assert list(became[0][-6:-2]) == limits


def watched(monkeypatch: pytest.MonkeyPatch, watch: str) -> list[float]:
    """Let WATCH be this and return the pauses after each page, of which the third is interrupted."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setenv("WATCH", watch)
    monkeypatch.setattr(status, "collect", lambda _: PAGE)
    monkeypatch.setattr(updates, "collect", dict.fromkeys)
    monkeypatch.setattr(time, "sleep", sleep)
    return pauses


def test_watching_repeats_the_page_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses = watched(monkeypatch, "10")
    assert status.main([]) == 0
    assert pauses == [10, 10, 10]
    said = capsys.readouterr().out
    assert said.count("nodes     1 of 1 answer") == 3
    assert "updates" not in said


@pytest.mark.parametrize("watch", ["", "0"])
def test_the_page_is_shown_once_unless_watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], watch: str
) -> None:
    pauses = watched(monkeypatch, watch)
    assert status.main([]) == 0
    assert pauses == []
    assert capsys.readouterr().out.endswith(
        "updates\n  due                 not known\n  no answer from      a\n"
    )


@pytest.mark.parametrize("watch", ["10s", "-1", "nan", "inf"])
def test_a_pause_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, watch: str) -> None:
    watched(monkeypatch, watch)
    with pytest.raises(MillraceError, match=f"WATCH={watch} is no number of seconds"):
        status.main([])


def test_before_provisioning_a_command_for_a_node_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(MillraceError, match="not provisioned yet; `make provision` makes them"):
        remote.run_each({"a": ["true"]})
