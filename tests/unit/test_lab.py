"""The lab's pure parts: what to put right before Terraform, what SSH is told, and the idempotence test."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from millrace.access import ssh
from millrace.model.topology import Network, Node, Topology
from millrace.providers import terraform
from millrace.providers.lab import image, incus
from millrace.providers.lab import nodes as lab
from millrace.providers.lab.incus import Instance
from millrace.verbs import destroy, idempotence

TOPOLOGY = Topology(
    environment="lab",
    provider="lab",
    domain="lab.example",
    network=Network(IPv4Network("10.77.0.0/24"), IPv4Address("10.77.0.1"), "millrace0"),
    operator_sources=("10.77.0.1",),
    nodes={
        "kafka-1": Node("kafka-1", ("kafka",), "10.77.0.11", 2, 1024, 8),
        "db-1": Node("db-1", ("timescaledb",), "10.77.0.31", 2, 1024, 8),
    },
)


def _instance(name: str, status: str = "Running", owner: str | None = "me") -> Instance:
    return Instance(name, "millrace-lab", status, owner)


def test_nothing_to_put_right_where_all_is_as_it_should_be() -> None:
    found = lab.compare(["a", "b"], {"a", "b"}, [_instance("a"), _instance("b")], "me")
    assert found == lab.Differences([], [], [], [], [])


def test_no_lab_at_all_is_left_to_terraform() -> None:
    assert lab.compare(["a"], set(), [], "me") == lab.Differences([], [], [], [], [])


def test_deleted_stopped_and_frozen_nodes_are_noticed() -> None:
    instances = [_instance("b", "Stopped"), _instance("c", "Frozen"), _instance("d", "Error")]
    found = lab.compare(["a", "b", "c", "d"], {"a", "b", "c", "d"}, instances, "me")
    assert found == lab.Differences([], ["a"], ["b", "d"], ["c"], [])


def test_another_owners_nodes_are_foreign_and_count_as_vanished() -> None:
    found = lab.compare(["a"], {"a"}, [_instance("a", owner="you"), _instance("z", owner=None)], "me")
    assert found.foreign == ["a", "z"]
    assert found.vanished == ["a"]


def test_a_removed_node_is_terraforms_to_delete_unless_its_state_is_lost() -> None:
    gone = [_instance("old", "Stopped")]
    assert lab.compare([], {"old"}, gone, "me") == lab.Differences([], [], [], [], [])
    assert lab.compare([], set(), gone, "me").unlisted == ["old"]


def test_the_refusal_names_the_nodes_and_the_ways_out() -> None:
    text = lab.refusal("millrace-lab", ["kafka-1"], Path("/state/lab"))
    assert all(word in text for word in ("kafka-1", "/state/lab", "RECREATE=1"))


def test_known_hosts_has_every_name_of_a_node_and_no_comment() -> None:
    keys = {"kafka-1": "ssh-ed25519 AAAA root@kafka-1\n", "db-1": "ssh-ed25519 BBBB"}
    assert ssh.known_hosts(TOPOLOGY, keys) == (
        "kafka-1,kafka-1.lab.example,10.77.0.11 ssh-ed25519 AAAA\n"
        "db-1,db-1.lab.example,10.77.0.31 ssh-ed25519 BBBB\n"
    )


def test_the_client_checks_host_keys_and_knows_every_node() -> None:
    text = ssh.client_config(TOPOLOGY, Path("/state/lab"))
    assert "StrictHostKeyChecking yes" in text
    assert "Host db-1 db-1.lab.example 10.77.0.31\n  HostName 10.77.0.31\n" in text


def test_through_a_jump_host_only_that_one_is_reached_by_itself() -> None:
    way = ssh.Way({"db-1": "198.51.100.9"}, "db-1")
    text = ssh.client_config(TOPOLOGY, Path("/state/lab"), way)
    assert "Host db-1 db-1.lab.example 10.77.0.31\n  HostName 198.51.100.9\nHost *\n" in text
    hop = "Host kafka-1 kafka-1.lab.example 10.77.0.11\n  HostName 10.77.0.11\n  ProxyJump db-1\n"
    assert hop in text
    keys = {"kafka-1": "ssh-ed25519 AAAA", "db-1": "ssh-ed25519 BBBB"}
    assert ssh.known_hosts(TOPOLOGY, keys, way) == (
        "kafka-1,kafka-1.lab.example,10.77.0.11 ssh-ed25519 AAAA\n"
        "db-1,db-1.lab.example,10.77.0.31,198.51.100.9 ssh-ed25519 BBBB\n"
    )


def test_files_are_private_and_written_only_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    assert ssh.write_if_changed(path, "a")
    assert not ssh.write_if_changed(path, "a")
    assert path.stat().st_mode & 0o077 == 0


def test_nodes_of_terraforms_state() -> None:
    text = 'module.node["a"].terraform_data.instance\nmodule.node["a"].terraform_data.settings\nother.thing\n'
    assert terraform.nodes_in_state(text) == {"a"}


def test_a_plan_is_reduced_to_what_changes() -> None:
    plan = {
        "resource_changes": [
            {"address": "same", "change": {"actions": ["no-op"]}},
            {"address": "new", "change": {"actions": ["create"]}},
            {"address": "other", "change": {"actions": ["delete", "create"]}},
        ]
    }
    assert terraform.changes(plan) == {"new": "create", "other": "replace"}


@pytest.mark.parametrize("purge", [False, True])
def test_secrets_go_only_with_purge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, purge: bool) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    state = tmp_path / "millrace" / "lab"
    (state / "terraform").mkdir(parents=True)
    for name in ("vault.yml", "ssh_config", "../vault-password"):
        (state / name).touch()
    destroy.forget(state, purge=purge)
    assert (state / "vault.yml").exists() is not purge
    assert (state.parent / "vault-password").exists() is not purge
    assert not (state / "terraform").exists()
    assert not (state / "ssh_config").exists()


def test_the_recap_is_read_through_colours_and_only_at_the_end() -> None:
    output = (
        "a : ok=9 changed=9 unreachable=0 failed=0\nPLAY RECAP ****\n"
        "\x1b[0;33mdb-1\x1b[0m                       : \x1b[0;32mok=61  \x1b[0m \x1b[0;33mchanged=2   \x1b[0m"
        " unreachable=0    failed=0    skipped=3    rescued=0    ignored=0\n"
        "kafka-1 : ok=5    changed=0    unreachable=1    failed=0\n"
    )
    assert idempotence.recap(output) == {"db-1": (2, 0), "kafka-1": (0, 1)}
    assert idempotence.recap("no recap") == {}


def test_processes_that_changed_ended_or_stayed() -> None:
    shown = (
        "MainPID=12\nId=kafka.service\nActiveState=active\nInvocationID=f0\n\n"
        "MainPID=0\nId=ssh.service\nActiveState=inactive\nInvocationID=f1\n\n"
        "Id=a.timer\nActiveState=active\nInvocationID=f2\n\n"
        "Id=b.timer\nActiveState=inactive\nInvocationID=\n"
    )
    assert idempotence.parse_processes(shown) == {
        "kafka.service": "12",
        "ssh.service": "0",
        "a.timer": "f2",
        "b.timer": "0",
    }
    before = {("n", "a"): "1", ("n", "b"): "2", ("n", "c"): "3", ("n", "d"): "0"}
    after = {("n", "a"): "1", ("n", "b"): "22", ("n", "c"): "0"}
    assert idempotence.differences(before, after) == [
        "b on n was process 2 and is now 22",
        "c on n does not run",
        "d on n does not run",
    ]


@pytest.mark.parametrize(
    ("there", "owner", "wanted"),
    [
        (["kafka-1", "db-1"], "me", "newest"),
        (["kafka-1"], "me", "up to date"),
        (["kafka-1", "db-1"], "you", "up to date"),
    ],
)
def test_an_image_is_made_for_new_nodes_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: list[str], owner: str, wanted: str
) -> None:
    (tmp_path / "owner-id").write_text("me\n", encoding="utf-8")
    monkeypatch.setattr(incus, "instances", lambda _: [_instance(name, owner=owner) for name in there])
    monkeypatch.setattr(image, "imported", lambda: ["newest", "older"])
    monkeypatch.setattr(image, "ensure", lambda: "up to date")
    assert lab.image_for(TOPOLOGY, tmp_path) == wanted
