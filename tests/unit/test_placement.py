"""A topology of one tier alone, of the repository's own catalogue and applications."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from millrace import paths
from millrace.model import placement
from millrace.model.catalogue import load_catalogue
from millrace.model.validation import CATALOGUE, Environment, load_environment, main
from millrace.model.variables import setting_problems
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()
PROGRAMS = "sensors-job, sensors-lake, sensors-lifecycle, sensors-profile, sensors-relay, sensors-generator"


def tier(folder: Path, *groups: str) -> Environment:
    """Return an environment with one node, of these groups."""
    node = {"groups": groups, "address": "10.9.0.2", "cores": 2, "memory": 1024, "disk": 8}
    topology = {
        "environment": "tier",
        "provider": "lab",
        "domain": "x.internal",
        "network": {"cidr": "10.9.0.0/24", "gateway": "10.9.0.1", "bridge": "bridge9"},
        "nodes": {"node-1": node},
    }
    path = folder / "tier" / "topology.yml"
    path.parent.mkdir()
    path.write_text(json.dumps(topology))
    return load_environment(path, ROOT)


@pytest.mark.parametrize(
    "groups",
    [
        ["timescaledb"],
        ["kafka"],
        ["hdfs_namenode", "hdfs_datanodes"],
        ["spark_master", "spark_workers"],
        ["kafka", "generators"],
        ["kafka", "timescaledb", "relays"],
        ["bastion"],
    ],
)
def test_what_needs_nothing_else_is_valid_alone(groups: list[str], tmp_path: Path) -> None:
    environment = tier(tmp_path, *groups)
    there = {service.group for service in environment.catalogue.services.values()} - {"all"}
    assert there == set(groups) - {"bastion"}
    assert setting_problems(environment, tmp_path / "tier") == []


@pytest.mark.parametrize(
    ("groups", "missing"),
    [
        (["hdfs_namenode"], ["hdfs_datanodes"]),
        (["hdfs_datanodes"], ["hdfs_namenode"]),
        (["spark_master"], ["spark_workers"]),
        (["spark_workers"], ["spark_master"]),
        (["generators"], ["kafka"]),
        (["relays", "kafka"], ["timescaledb"]),
        (["spark_drivers", "spark_master", "spark_workers", "timescaledb"], ["kafka"]),
        (["spark_drivers", "kafka"], ["spark_master", "spark_workers", "timescaledb"]),
    ],
)
def test_what_needs_more_is_refused_with_names(groups: list[str], missing: list[str], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        tier(tmp_path, *groups)
    said = sorted(line.partition("no node is in ")[2] for line in caught.value.problems)
    assert said == [f"{group!r}; put one in, or take {groups[0]!r} away" for group in missing]
    assert all("node-1)" in line for line in caught.value.problems)


def test_what_is_not_placed_is_one_line(tmp_path: Path) -> None:
    assert tier(tmp_path, "kafka").absent() == (
        "not placed: of the platform hdfs-namenode, hdfs-datanode, spark-master, spark-worker, spark-history,"
        f" timescaledb; of sensors {PROGRAMS}"
    )


def test_a_group_that_is_almost_one_that_has_nodes_is_told() -> None:
    line = placement.absent(
        {"job": "spark_driver", "relay": "relays"}, {"job": "x", "relay": "x"}, {"spark_drivers", "kafka"}
    )
    assert line == ("not placed: of x job (its group is 'spark_driver'; is 'spark_drivers' meant?), relay")


def test_of_the_platforms_own_groups_none_is_taken_for_another() -> None:
    groups = load_catalogue(ROOT / CATALOGUE).groups
    for group in groups:
        assert "meant" not in placement.absent({"x": group}, {}, groups - {group})


def test_validate_says_nothing_where_all_is_placed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", "lab"]) == 0
    assert capsys.readouterr().out == "topology and catalogue of lab: valid\n"


def test_programs_need_what_they_use(tmp_path: Path) -> None:
    services: dict[str, Any] = dict(tier(tmp_path, "kafka").services)
    assert services["sensors-job"]["needs"] == ["kafka", "spark-master", "spark-worker", "timescaledb"]
    assert "needs" not in services["ssh"]
