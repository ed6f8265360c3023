"""Checks that need topology and catalogue together, and the command that prints their problems."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from millrace import paths
from millrace.console import MillraceError
from millrace.model import validation, variables
from millrace.model.catalogue import parse_catalogue
from millrace.model.current import current_environment
from millrace.model.openstack import OpenStack
from millrace.model.topology import Topology, parse_topology
from millrace.model.validation import check_memory, check_together, load_environment
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


REST = {
    "provider": "lab",
    "domain": "x.internal",
    "network": {"cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "bridge": "bridge9"},
}


def topology(**groups: list[str]) -> Topology:
    """Make a topology of nodes, each a keyword (underscore for hyphen) with its groups."""
    nodes = {
        name.replace("_", "-"): {
            "groups": of,
            "address": f"192.0.2.{number}",
            "cores": 1,
            "memory": 512,
            "disk": 4,
        }
        for number, (name, of) in enumerate(groups.items(), start=2)
    }
    return parse_topology({**REST, "environment": "x", "nodes": nodes})


def service(group: str, number: int, protocol: str = "tcp") -> dict[str, Any]:
    port = {"port": number, "protocol": protocol, "tls": "none", "from": []}
    rest = {"unit": "u", "health": {"type": "unit"}, "metrics": None, "gateway": None}
    return {"group": group, "ports": {"main": port}, **rest}


def problems(nodes: Topology, **services: dict[str, Any]) -> list[str]:
    return check_together(nodes, parse_catalogue({"services": services}))


def test_what_fits_has_no_problem() -> None:
    nodes = topology(n_1=["kafka"], n_2=["db"])
    assert problems(nodes, ssh=service("all", 22), kafka=service("kafka", 1), db=service("db", 1)) == []


def test_an_unknown_group_is_told_with_the_known_ones() -> None:
    found = problems(topology(n_1=["kafka", "kafak"]), kafka=service("kafka", 1))
    assert found == [
        (
            "nodes.n-1.groups: unknown group 'kafak' (the nearest is 'kafka'); known from the catalogue:"
            " bastion, kafka"
        )
    ]


def test_a_flavour_is_for_a_group_that_there_is() -> None:
    flavors = {"default": "small", "bastion": "tiny", "kafka": "large", "kafak": "large"}
    nodes = replace(topology(n_1=["kafka"]), openstack=OpenStack("c", "n", "i", flavors))
    (found,) = problems(nodes, kafka=service("kafka", 1))
    assert found.startswith(
        "openstack.flavors.kafak: there is no such group (the nearest is 'kafka'); known: "
    )


def test_a_jump_host_needs_no_service() -> None:
    assert problems(topology(n_1=["kafka"], n_2=["bastion"]), kafka=service("kafka", 1)) == []


def test_what_is_placed_is_refused_without_what_it_needs() -> None:
    services = {
        "job": service("drivers", 1) | {"needs": ["kafka", "db"]},
        "relay": service("drivers", 2) | {"needs": ["kafka"]},
        "kafka": service("kafka", 3),
        "db": service("db", 4),
    }
    assert problems(topology(n_1=["db"]), **services) == []
    assert problems(topology(n_1=["db", "kafka", "drivers"]), **services) == []
    assert problems(topology(n_1=["db"], n_2=["drivers"], n_3=["drivers"]), **services) == [
        (
            "nodes: job, relay (group 'drivers': n-2, n-3) need kafka, but no node is in 'kafka'; put one in,"
            " or take 'drivers' away"
        )
    ]
    assert problems(topology(n_1=["kafka"], n_2=["drivers"]), **services) == [
        (
            "nodes: job (group 'drivers': n-2) needs db, but no node is in 'db'; put one in,"
            " or take 'drivers' away"
        )
    ]


def test_without_any_node_no_service_is_told_to_have_none() -> None:
    empty = replace(topology(n_1=["kafka"]), nodes={})
    assert problems(empty, kafka=service("kafka", 1), db=service("db", 2)) == []


@pytest.mark.parametrize("group", ["hdfs_namenode", "spark_master", "timescaledb"])
def test_there_is_one_of_what_has_no_standby(group: str) -> None:
    (found,) = problems(topology(n_1=[group], n_2=["x", group]), a=service(group, 1), x=service("x", 2))
    assert found.startswith(f"nodes.n-2.groups: n-1 is in {group!r} already, and there can be one only")


def test_a_node_is_not_called_as_a_group_that_is_empty_here() -> None:
    (found,) = problems(topology(relays=["kafka"]), kafka=service("kafka", 1), relay=service("relays", 2))
    assert found == "nodes.relays: is also the name of a group; give the node another name"


def write_catalogue(root: Path, text: str) -> None:
    (root / "ansible").mkdir()
    (root / "ansible" / "catalogue.yml").write_text(text)
    (root / "ansible" / "secrets.yml").write_text("secrets: {}\n")


def test_a_service_is_there_once_a_node_is_in_its_group(tmp_path: Path) -> None:
    catalogue = {"services": {"a": service("a", 1), "b": service("b", 2)}}
    write_catalogue(tmp_path, yaml.safe_dump(catalogue))
    node = {"cores": 1, "memory": 512, "disk": 4, "address": "192.0.2.2"}
    for groups, told in ((["a"], "not placed: of the platform b"), (["a", "b"], "")):
        path = tmp_path / "-".join(groups) / "topology.yml"
        path.parent.mkdir()
        content = {"environment": path.parent.name, "nodes": {"n-1": {"groups": groups, **node}}, **REST}
        path.write_text(yaml.safe_dump(content))
        loaded = load_environment(path, tmp_path)
        assert list(loaded.catalogue.services) == groups
        assert loaded.absent() == told


@pytest.mark.parametrize(("count", "told"), [(1, 0), (2, 1), (3, 0), (4, 1)])
def test_an_even_number_of_controllers(count: int, told: int) -> None:
    nodes = topology(**{f"n_{number}": ["kafka"] for number in range(count)})
    found = problems(nodes, kafka=service("kafka", 1))
    assert [f"so {count - 1} or {count + 1}" in problem for problem in found] == [True] * told


def test_brokers_have_ids_by_their_names(tmp_path: Path) -> None:
    def told(**groups: list[str]) -> list[str]:
        return variables.broker_id_problems(topology(**groups), tmp_path)

    assert told(log_1=["kafka"], log_2=["kafka"], log_30=["kafka"], other=["db"]) == []
    (nameless,) = told(log_a=["kafka"], log_2=["kafka"])
    assert nameless.startswith("nodes.log-a: a broker's name must end in a number above 0")
    (zero,) = told(log_0=["kafka"])
    assert zero.startswith("nodes.log-0: ")
    assert told(log_2147483647=["kafka"]) == []
    assert told(log_2147483648=["kafka"]) == [
        "nodes.log-2147483648: the number at its end is its id in Kafka, at most 2147483647"
    ]
    assert told(log_1=["kafka"], old_1=["kafka"]) == ["nodes.old-1: log-1 has the id 1 in Kafka already"]
    # Ids that the environment gives itself are the role's to judge.
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("kafka_hosts: [{name: log-a, id: 7}]\n")
    assert told(log_a=["kafka"]) == []


def test_ports_collide_only_on_the_same_node_and_protocol() -> None:
    nodes = topology(n_1=["a", "b"], n_2=["c"])
    found = problems(nodes, x=service("a", 80), y=service("b", 80), z=service("c", 80))
    assert found == [
        "services.y.ports.main: 80 is already taken by x.main on the node n-1; choose a free port"
    ]
    assert problems(nodes, x=service("a", 80), y=service("b", 80, "udp"), z=service("c", 80)) == []
    (found_everywhere,) = problems(topology(n_1=["c"]), ssh=service("all", 80), z=service("c", 80))
    assert "taken by ssh.main on the node n-1" in found_everywhere


def test_more_memory_than_the_machine_has() -> None:
    nodes = topology(n_1=["a"], n_2=["a"])
    assert check_memory(nodes, 1024) == []
    (told,) = check_memory(nodes, 1023)
    assert told.startswith("nodes: their memory adds up to 1024 MiB, but this machine has 1023 MiB")


def test_problems_of_both_files_are_told_together(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "topology.yml").write_text(
        "environment: other\nprovider: x\ndomain: d\nnodes: {a: {groups: [b]}}\n"
    )
    write_catalogue(tmp_path, "services: {s: {group: g}}\n")
    with pytest.raises(InvalidInputError) as caught:
        load_environment(lab / "topology.yml", tmp_path)
    told = "\n".join(caught.value.problems)
    for part in (
        "inventories/lab/topology.yml: provider: must",
        "ansible/catalogue.yml: services.s.unit: is",
        "inventories/lab/topology.yml: nodes.a.groups: unknown",
        "inventories/lab/topology.yml: environment: must be 'lab'",
    ):
        assert part in told


@pytest.mark.parametrize("env", paths.environments())
def test_every_environment_in_the_repository_is_valid(env: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert validation.named_environment(env).topology.environment == env
    assert validation.validate("nowhere") == 1
    known = ", ".join(paths.environments())
    assert f"there is no environment 'nowhere'; there are: {known}" in capsys.readouterr().err


def test_the_current_environment_is_the_one_of_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV", "lab")
    assert current_environment().topology.environment == "lab"
    monkeypatch.setenv("ENV", "../lab")
    with pytest.raises(MillraceError, match=r"^ENV: there is no environment '\.\./lab'; there are: lab"):
        current_environment()


def test_validate_prints_one_problem_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validation, "machine_memory", lambda: 1)
    assert validation.validate("lab") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("this machine has 1 MiB; lower nodes.*.memory or remove nodes")
    monkeypatch.undo()
    assert validation.machine_memory() > 0
