"""Which faults a seed chooses in which environment."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faults import KINDS, candidates, plan

from millrace.console import MillraceError
from millrace.model.validation import Environment, load_environment
from millrace.paths import repo_root
from millrace.verbs.phases import CHAOS_SEED

ROOT = repo_root()
LAB = load_environment(ROOT / "inventories" / "lab" / "topology.yml")


def with_disposable(*names: str, provider: str = "lab") -> Environment:
    """Return the lab with no other disposable nodes than these."""
    nodes = {name: replace(node, disposable=name in names) for name, node in LAB.topology.nodes.items()}
    return replace(LAB, topology=replace(LAB.topology, nodes=nodes, provider=provider))


def test_the_lab_allows_every_kind_on_every_node_and_service() -> None:
    assert all(candidates(kind, LAB) for kind in KINDS)
    assert {fault.nodes[0] for fault in candidates("node killed", LAB)} == set(LAB.topology.nodes)
    units = {fault.unit for fault in candidates("daemon killed", LAB)}
    services = LAB.catalogue.services.values()
    assert units == {service.unit for service in services if not service.unit.endswith(".timer")}


def test_the_way_in_is_not_frozen() -> None:
    units = {fault.unit for fault in candidates("daemon frozen", LAB)}
    assert "ssh.service" not in units
    assert "kafka.service" in units


def test_a_cut_is_between_tiers_that_talk() -> None:
    cuts = {fault.target: fault for fault in candidates("network cut", LAB)}
    assert set(cuts) == {
        "generators from kafka",
        "hdfs_datanodes from hdfs_namenode",
        "hdfs_datanodes from spark_drivers",
        "hdfs_namenode from spark_drivers",
        "kafka from spark_workers",
        "relays from timescaledb",
        "spark_workers from timescaledb",
    }
    cut = cuts["kafka from spark_workers"]
    members = LAB.topology.members
    assert cut.nodes == tuple(node.name for node in members("kafka"))
    assert cut.peers == tuple(node.address for node in members("spark_workers"))


def test_nothing_but_disposable_nodes_is_struck() -> None:
    environment = with_disposable("kafka-2", "apps-1", "worker-1")
    for kind in KINDS:
        struck = {node for fault in candidates(kind, environment) for node in fault.nodes}
        assert struck <= {"kafka-2", "apps-1", "worker-1"}, kind
    assert candidates("network cut", environment) == [], (
        "each tier but that of apps-1 has nodes that must not be touched"
    )


def test_without_a_disposable_node_one_line_refuses() -> None:
    with pytest.raises(MillraceError, match=r"^no node of lab is `disposable: true` in [^\n]*$"):
        plan(with_disposable(), 3, 1)


def test_nodes_are_struck_as_a_whole_only_where_we_hold_their_power() -> None:
    environment = with_disposable("kafka-1", provider="openstack")
    assert {fault.kind for fault in plan(environment, 20, 1)} == {
        "daemon killed",
        "daemon frozen",
        "daemon restarted",
        "disk full",
    }


def test_a_seed_gives_the_same_faults_and_another_seed_others() -> None:
    assert plan(LAB, 20, 7) == plan(LAB, 20, 7)
    assert plan(LAB, 20, 7) != plan(LAB, 20, 8)
    assert plan(LAB, 20, 7)[:3] == plan(LAB, 3, 7), "more rounds begin like fewer"


def test_each_kind_comes_before_one_comes_again() -> None:
    for seed in range(20):
        assert {fault.kind for fault in plan(LAB, len(KINDS), seed)} == set(KINDS)


def test_a_new_node_changes_targets_but_not_kinds() -> None:
    nodes = dict(LAB.topology.nodes)
    nodes["worker-4"] = replace(nodes["worker-3"], name="worker-4", address="10.77.0.24")
    larger = replace(LAB, topology=replace(LAB.topology, nodes=nodes))
    assert [fault.kind for fault in plan(larger, 16, 3)] == [fault.kind for fault in plan(LAB, 16, 3)]


def test_the_rounds_of_make_test_are_of_different_kinds() -> None:
    kinds = [fault.kind.split()[0] for fault in plan(LAB, 3, CHAOS_SEED)]
    assert sorted(kinds) == ["daemon", "network", "node"]
