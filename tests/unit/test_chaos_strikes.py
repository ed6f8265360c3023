"""A fault is undone whatever happens, and only our own nodes are stopped."""

from __future__ import annotations

import pytest
import strikes
from faults import KINDS, Fault

from millrace.console import MillraceError
from millrace.providers import owner
from millrace.providers.lab import incus

DONE: list[str] = []


class Noted(strikes.Strike):
    """Notes its steps; the one that the target names fails."""

    def _note(self, step: str) -> None:
        DONE.append(step)
        if step == self.fault.target:
            raise OSError(step)

    def prepare(self) -> None:
        """Note it."""
        self._note("prepare")

    def inject(self) -> None:
        """Note it."""
        self._note("inject")

    def heal(self) -> None:
        """Note it."""
        self._note("heal")

    def clear(self) -> None:
        """Note it."""
        self._note("clear")


def test_every_kind_of_fault_can_be_struck() -> None:
    assert list(strikes.KINDS) == list(KINDS)


@pytest.mark.parametrize("failing", ["nothing", "prepare", "inject", "heal", "clear"])
def test_whatever_fails_the_fault_is_healed_and_cleared(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    monkeypatch.setitem(strikes.KINDS, "noted", Noted)
    DONE.clear()
    failed = ""
    try:
        with strikes.prepared(Fault("noted", failing, ("a",))) as strike:
            strike.inject()
    except OSError as error:
        failed = str(error)
    assert failed == ("" if failing == "nothing" else failing)
    assert [
        step for step in ("prepare", "inject", "heal", "clear") if (failing, step) != ("prepare", "inject")
    ] == DONE


def test_nodes_of_another_owner_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, ...]] = []
    node = incus.Instance("db-1", "millrace-lab", "Running", "somebody")
    monkeypatch.setattr(incus, "instances", lambda _project: [node])
    monkeypatch.setattr(incus, "incus", lambda *words: calls.append(words))
    monkeypatch.setattr(owner, "owner_id", lambda _state: "me")
    with pytest.raises(MillraceError, match="db-1 in the Incus project millrace-lab are not this lab's"):
        strikes.KilledNode(Fault("node killed", "db-1", ("db-1",))).inject()
    assert not calls
    monkeypatch.setattr(owner, "owner_id", lambda _state: "somebody")
    strikes.KilledNode(Fault("node killed", "db-1", ("db-1",))).inject()
    assert calls == [("stop", "--project", "millrace-lab", "db-1", "--force")]
