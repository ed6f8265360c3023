"""How many copies there are by default, and that validate refuses what a deploy would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from millrace.model.applications import read_application
from millrace.model.catalogue import Catalogue
from millrace.model.replication import (
    defaults,
    hdfs_factor,
    kafka_factor,
    kafka_in_sync,
    problems,
    settings_in,
)
from millrace.model.topology import Node, Topology
from millrace.model.validation import Environment
from millrace.model.variables import replication_problems, setting_problems
from millrace.yamlio import Reader

if TYPE_CHECKING:
    from pathlib import Path


def topology(brokers: int = 3, datanodes: int = 3, workers: int = 0) -> Topology:
    numbers = {"kafka": brokers, "hdfs_datanodes": datanodes, "spark_workers": workers}
    nodes = {
        f"{group}-{number}": Node(f"{group}-{number}", (group,), None, 1, 512, 4)
        for group, count in numbers.items()
        for number in range(1, count + 1)
    }
    return Topology("x", "lab", "x.internal", None, (), nodes)


def told(nodes: Topology, folder: Path, *layers: dict[str, Any]) -> list[str]:
    """Return the problems of layers of variables, without the folder of their files."""
    files = [(folder / str(number) / "v.yml", layer) for number, layer in enumerate(layers)]
    return [line.replace(f"{folder}/", "") for line in problems(nodes, settings_in(files))]


@pytest.mark.parametrize(("brokers", "factor", "in_sync"), [(1, 1, 1), (3, 3, 2), (5, 3, 2), (2, 2, 1)])
def test_copies_in_kafka_follow_the_brokers(brokers: int, factor: int, in_sync: int) -> None:
    assert kafka_factor(brokers) == factor
    assert kafka_in_sync(factor) == in_sync


def test_defaults_follow_the_nodes_of_each_group() -> None:
    assert [hdfs_factor(number) for number in (1, 2, 3)] == [1, 2, 2]
    assert defaults(topology(5, 1, 2)) == {
        "kafka_replication_factor": 3,
        "hdfs_replication": 1,
        "spark_expected_workers": 2,
    }
    assert defaults(topology(1, 0, 0)) == {"kafka_replication_factor": 1}


def test_what_is_not_set_is_never_wrong() -> None:
    for nodes in (topology(1, 1), topology(3, 3), topology(0, 0)):
        assert problems(nodes, settings_in([])) == []


def test_more_in_sync_copies_than_copies_are_refused(tmp_path: Path) -> None:
    (found,) = told(topology(), tmp_path, {"kafka_replication_factor": 1, "kafka_min_insync_replicas": 2})
    where = "0/v.yml: kafka_min_insync_replicas: 2 is more than the 1 copies that"
    assert found == f"{where} kafka_replication_factor says (0/v.yml); use at most 1"


def test_without_a_factor_that_of_the_topology_counts(tmp_path: Path) -> None:
    (found,) = told(topology(1), tmp_path, {"kafka_min_insync_replicas": 2})
    assert "the 1 copies that kafka_replication_factor says (default for 1 brokers)" in found


@pytest.mark.parametrize(
    ("variables", "wrong"),
    [
        ({"kafka_topics": [{"replication_factor": 2, "config": {"min.insync.replicas": 2}}]}, None),
        (
            {"kafka_topics": [{"replication_factor": 1, "config": {"min.insync.replicas": 2}}]},
            "kafka_topics[0].config.min.insync.replicas",
        ),
        ({"kafka_topics": [{"config": {"min.insync.replicas": 3}}]}, None),
        (
            {"kafka_extra_config": {"a.log.min.isr": 2, "a.log.replication.factor": 1}},
            "kafka_extra_config.a.log.min.isr",
        ),
        ({"kafka_extra_config": {"a.log.min.isr": 2, "a.log.replication.factor": 2}}, None),
        ({"kafka_extra_config": {"a.replication.factor": 4}}, "kafka_extra_config.a.replication.factor"),
        ({"kafka_replication_factor": 0}, "kafka_replication_factor"),
        ({"hdfs_replication": 4}, "hdfs_replication"),
        ({"hdfs_replication": 3}, None),
        ({"platform_hdfs": {"dfs.replication": 4}}, "platform_hdfs.dfs.replication"),
        ({"hdfs_replication": "{{ templates }}", "other": 9}, None),
    ],
)
def test_each_place_is_held_against_its_own_limit(
    tmp_path: Path, variables: dict[str, Any], wrong: str | None
) -> None:
    found = told(topology(), tmp_path, variables)
    assert [line.split(": ")[1] for line in found] == ([wrong] if wrong else [])


def test_the_last_folder_wins(tmp_path: Path) -> None:
    assert told(topology(1), tmp_path, {"kafka_replication_factor": 3}, {"kafka_replication_factor": 1}) == []
    assert len(told(topology(1), tmp_path / "b", {"kafka_replication_factor": 3})) == 1


@pytest.mark.parametrize(
    ("brokers", "topic", "variables", "wrong"),
    [
        (1, {}, {}, None),
        (1, {"config": {"min.insync.replicas": 1, "retention.ms": 9}}, {}, None),
        (
            1,
            {"config": {"min.insync.replicas": 2}},
            {},
            (
                "config.min.insync.replicas: 2 is more than the 1 copies that kafka_replication_factor says"
                " (default for 1 brokers); use at most 1"
            ),
        ),
        (3, {"config": {"min.insync.replicas": 3}}, {}, None),
        (
            3,
            {"config": {"min.insync.replicas": 3}},
            {"kafka_replication_factor": 2},
            (
                "config.min.insync.replicas: 3 is more than the 2 copies that kafka_replication_factor says"
                " (group_vars/all.yml); use at most 2"
            ),
        ),
        (5, {"replication_factor": 5, "config": {"min.insync.replicas": 4}}, {}, None),
        (
            3,
            {"replication_factor": 4},
            {},
            "replication_factor: 4 is more than the 3 brokers in the topology; use at most 3",
        ),
        (
            3,
            {"replication_factor": 1, "config": {"min.insync.replicas": 2}},
            {},
            (
                "config.min.insync.replicas: 2 is more than the 1 copies that"
                " kafka.topics.a.b.replication_factor says (services/x/application.yml); use at most 1"
            ),
        ),
    ],
)
def test_a_topic_of_an_application_is_held_against_the_brokers(
    tmp_path: Path,
    brokers: int,
    topic: dict[str, Any],
    variables: dict[str, int],
    wrong: str | None,
) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))
    reader = Reader()
    content = {"kafka": {"topics": [{"name": "a.b", "partitions": 1, **topic}]}, "services": {}}
    application = read_application(tmp_path / "x", content, reader)
    assert reader.problems == []
    environment = Environment(topology(brokers), Catalogue({}, {}), {"x": application})
    found = setting_problems(environment, tmp_path)
    expected = f"services/x/application.yml: kafka.topics.a.b.{wrong}"
    assert [line.replace(f"{tmp_path}/", "") for line in found] == ([expected] if wrong else [])


def test_in_sync_copies_are_at_least_one(tmp_path: Path) -> None:
    (found,) = told(topology(), tmp_path, {"kafka_min_insync_replicas": 0})
    assert found == "0/v.yml: kafka_min_insync_replicas: 0 is no number of copies; use 1 or more"


def test_validate_tells_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "kafka.yml").write_text("kafka_min_insync_replicas: 2\n")
    monkeypatch.setattr("millrace.paths.repo_root", lambda: tmp_path)
    (line,) = replication_problems(topology(1), tmp_path)
    assert line.startswith(
        f"{tmp_path}/group_vars/kafka.yml: kafka_min_insync_replicas: 2 is more than the 1"
    )
