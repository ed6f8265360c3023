"""What strikes nodes or deletes data keeps away from an environment that is not there for tests alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import bench
import probe
import pytest
import rounds

from millrace.console import CommandError, Phases
from millrace.model import validation
from millrace.verbs import phases

if TYPE_CHECKING:
    from types import ModuleType

    from millrace.model.validation import Environment

LAB = validation.named_environment("lab")
REFUSAL = (
    "tests kill nodes and delete data, and in inventories/lab/topology.yml these are not `disposable: true`:"
)


def with_lasting(*names: str) -> Environment:
    """Return the lab, disposable but for these nodes."""
    nodes = {name: replace(node, disposable=name not in names) for name, node in LAB.topology.nodes.items()}
    return replace(LAB, topology=replace(LAB.topology, nodes=nodes))


@pytest.mark.parametrize("verb", [rounds, bench])
def test_chaos_and_bench_refuse_an_environment_with_one_lasting_node(
    verb: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "ENVIRONMENT", with_lasting("db-1"))
    monkeypatch.setattr(verb, "run", lambda *_: pytest.fail("it was run"))
    assert verb.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f": {REFUSAL} db-1")
    monkeypatch.setattr(probe, "ENVIRONMENT", with_lasting())
    monkeypatch.setattr(verb, "run", lambda *_: [])
    assert verb.main() == 0


def test_validate_can_ask_for_an_environment_that_may_be_struck(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validation, "problems_of", lambda _: [])
    monkeypatch.setattr(validation, "named_environment", lambda _: with_lasting("kafka-1", "db-1"))
    assert validation.main(["--env", "lab"]) == 0
    assert validation.main(["--env", "lab", "--disposable"]) == 1
    assert capsys.readouterr().err == f"{REFUSAL} kafka-1, db-1\n"
    monkeypatch.setattr(validation, "named_environment", lambda _: with_lasting())
    assert validation.main(["--env", "lab", "--disposable"]) == 0


def test_make_test_stops_there_before_it_does_anything_to_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []

    def millrace(*words: str) -> None:
        called.append(words)
        if "--disposable" in words:
            raise CommandError(["millrace", *words], 1, REFUSAL)

    monkeypatch.setattr(phases, "_prepare", lambda _: None)
    monkeypatch.setattr(phases, "_millrace", millrace)
    monkeypatch.setattr(phases, "stream_checked", lambda *_, **__: pytest.fail("something was run"))
    with pytest.raises(CommandError, match="disposable: true"):
        phases.test(Phases())
    assert called == [("validate", "--disposable")]
