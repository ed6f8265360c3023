"""A topology chooses its provider; environments of one machine keep out of each other's way."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.console import MillraceError
from millrace.machine import bootstrap, findings, sudo
from millrace.model import validation
from millrace.model.neighbours import Place, conflicts
from millrace.model.outline import Outline
from millrace.model.providers import PROVIDERS
from millrace.model.topology import load_topology
from millrace.providers import needs, registry, terraform

if TYPE_CHECKING:
    from pathlib import Path

LAB = paths.repo_root() / "inventories" / "lab" / "topology.yml"


@pytest.fixture
def inventories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a clone with the lab's topology as its only one; return its inventories."""
    for part in ("ansible", "roles", "services"):
        (tmp_path / part).symlink_to(paths.repo_root() / part)
    (tmp_path / "inventories" / "lab").mkdir(parents=True)
    (tmp_path / "inventories" / "lab" / "topology.yml").write_bytes(LAB.read_bytes())
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    monkeypatch.setattr(bootstrap, "repo_root", lambda: tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("ENV", raising=False)
    monkeypatch.setattr(bootstrap, "look", lambda _: pytest.fail("the machine was looked at"))
    return tmp_path / "inventories"


def another(inventories: Path, env: str, *changes: tuple[str, str]) -> None:
    """Add an environment that differs from the lab in its name and in these texts."""
    text = LAB.read_text(encoding="utf-8")
    for before, after in (("environment: lab", f"environment: {env}"), *changes):
        assert before in text
        text = text.replace(before, after)
    (inventories / env).mkdir()
    (inventories / env / "topology.yml").write_text(text, encoding="utf-8")


def test_every_provider_has_all_its_parts() -> None:
    assert set(registry.MAKERS) == set(needs.PREPARATIONS) == set(PROVIDERS)
    for provider in PROVIDERS:
        assert (paths.repo_root() / "terraform" / "providers" / provider / "main.tf").exists()


def test_the_bootstrap_refuses_an_unknown_provider_in_one_line() -> None:
    with pytest.raises(MillraceError, match=r"^provider: must be one of lab, libvirt, openstack, not 'x'$"):
        needs.preparation_for(Outline("x", 0))


def test_the_bootstrap_asks_for_what_the_provider_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_has", lambda _: False)
    monkeypatch.setattr(sudo, "privileged", lambda: False)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    wanted = findings.wanted_by(LAB.read_text(encoding="utf-8"))
    assert {"uidmap", "mmdebstrap", "git"} <= set(bootstrap.look(wanted).missing)


def test_all_environments_of_a_provider_have_its_terraform_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(terraform, "required", lambda: "terraform")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    one, other = (terraform.for_environment(env, "lab") for env in ("a", "b"))
    assert one.config == other.config == paths.repo_root() / "terraform" / "providers" / "lab"
    assert one.env["TF_DATA_DIR"] != other.env["TF_DATA_DIR"]


def test_bridges_and_addresses_of_two_environments_differ() -> None:
    own = Place("millrace0", IPv4Network("10.77.0.0/24"))
    free = Place("millrace1", IPv4Network("10.78.0.0/24"))
    assert conflicts(own, {"b": free}) == []
    assert conflicts(own, {"b": replace(free, bridge="millrace0")}) == [
        "network.bridge: millrace0 is already that of inventories/b/topology.yml; name another one"
    ]
    assert conflicts(own, {"b": replace(free, cidr=IPv4Network("10.77.0.128/25"))}) == [
        "network.cidr: 10.77.0.0/24 overlaps 10.77.0.128/25 of inventories/b/topology.yml; choose a free one"
    ]


def test_validate_looks_at_the_other_environments(inventories: Path) -> None:
    another(inventories, "b", ("bridge: millrace0", "bridge: millrace9"))
    another(inventories, "broken", ("nodes:", "nodes: ["))
    (told,) = validation.neighbour_problems(load_topology(LAB), inventories)
    assert told.startswith("network.cidr: 10.77.0.0/24 overlaps 10.77.0.0/24 of inventories/b/topology.yml")
    assert f"inventories/lab/topology.yml: {told}" in validation.problems_of("lab")
    another(inventories, "c", ("provider: lab", "provider: openstack"))
    assert validation.neighbour_problems(load_topology(LAB), inventories) == [told]


def test_the_bootstrap_changes_no_bridge_of_another_environment(
    inventories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another(inventories, "b")
    another(inventories, "broken", ("cidr: 10.77.0.0/24", "cidr: 10.77"))
    another(inventories, "cloud", ("provider: lab", "provider: openstack"))
    monkeypatch.setattr(bootstrap, "look", lambda _: None)
    monkeypatch.setattr(bootstrap, "problems", lambda *_: [])
    monkeypatch.setattr(bootstrap, "change", lambda *_: pytest.fail("the machine was changed"))
    with pytest.raises(
        MillraceError, match=r"nothing was changed, because\n  - network\.bridge: millrace0 is"
    ) as caught:
        bootstrap.main([])
    assert "inventories/cloud" not in str(caught.value)
    assert "inventories/broken" not in str(caught.value)
