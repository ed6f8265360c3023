"""What an application declares of Kafka: every slip is told before a node is contacted."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from declarations import DOORS, changed, read

from millrace.model.applications import load_applications
from millrace.model.topic_config import NAMES
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

TOPIC = "kafka/topics/0/"
ACL = "kafka/acls/0/"
WRONG: list[tuple[str, object, str]] = [
    (TOPIC + "name", 1, "kafka.topics[0].name: must be text"),
    (TOPIC + "name", "doors opened", "kafka.topics[0].name: a topic's name is 1 to 249 of"),
    (TOPIC + "name", "a" * 250, "kafka.topics[0].name: a topic's name is 1 to 249 of"),
    (TOPIC + "name", "..", "kafka.topics[0].name: a topic's name is 1 to 249 of"),
    (TOPIC + "name", "__doors", "kafka.topics[0].name: a topic's name is 1 to 249 of"),
    (TOPIC + "partitions", 0, "kafka.topics[0].partitions: must be a whole number from 1 to 1000, not 0"),
    (TOPIC + "partitions", 1001, "kafka.topics[0].partitions: must be a whole number"),
    (TOPIC + "partitions", "3", "kafka.topics[0].partitions: must be a whole number"),
    (
        TOPIC + "config",
        {"retention": 1},
        "kafka.topics[0].config.retention: unknown key; known here: ",
    ),
    (TOPIC + "config", {"retention.ms": "7d"}, "config.retention.ms: must be a whole number from -1"),
    (TOPIC + "config", {"retention.ms": None}, "config.retention.ms: must be a whole number from -1"),
    (TOPIC + "config", {"cleanup.policy": "compacted"}, "config.cleanup.policy: must be one of compact,"),
    (TOPIC + "config", {"compression.type": "brotli"}, "config.compression.type: must be one of gzip,"),
    (TOPIC + "config", {"preallocate": "yes"}, "config.preallocate: must be true or false"),
    (TOPIC + "config", {"min.cleanable.dirty.ratio": 2}, "dirty.ratio: must be a number from 0 to 1, not 2"),
    (ACL + "user", "dors", "kafka.acls[0].user: must be one of kafka.accounts (doors, tests), not 'dors'"),
    (ACL + "user", None, "kafka.acls[0].user: must be text, not empty"),
    (ACL + "name", "", "kafka.acls[0].name: must be text, not empty"),
    (ACL + "name", "*", "kafka.acls[0].name: '*' would be every one of all applications"),
    (ACL + "operations", ["WRTE"], "kafka.acls[0].operations: must be some of ALTER, ALTER_CONFIGS, CREATE,"),
    (ACL + "operations", "WRITE", "kafka.acls[0].operations: must be a list of texts"),
    (ACL + "operations", [], "kafka.acls[0].operations: must name some of ALTER"),
    (ACL + "resource", "topics", "kafka.acls[0].resource: must be one of cluster, group, topic, transac"),
    (ACL + "resource", "group", "kafka.acls[0].operations: must be some of ALTER_CONFIGS, DELETE, DESCRIBE"),
    (ACL + "pattern", "prefix", "kafka.acls[0].pattern: must be one of literal, prefixed, not 'prefix'"),
]


@pytest.mark.parametrize(("keys", "value", "problem"), WRONG)
def test_a_slip_is_told_with_its_key(services: Path, keys: str, value: object, problem: str) -> None:
    _, problems = read(services, changed(keys, value))
    assert len(problems) == 1
    assert problem in problems[0]


def test_the_only_cluster_has_kafkas_name(services: Path) -> None:
    acl = {"user": "doors", "resource": "cluster", "name": "millrace", "operations": ["DESCRIBE"]}
    assert read(services, changed("kafka/acls", [acl]))[1] == [
        "kafka.acls[0].name: Kafka's only cluster is called kafka-cluster, not 'millrace'"
    ]
    assert read(services, changed("kafka/acls", [acl | {"name": "kafka-cluster"}]))[1] == []


def test_what_is_right_comes_to_the_role_as_it_is_written(services: Path) -> None:
    topic = {
        "name": "doors.opened",
        "partitions": 1000,
        "replication_factor": 1,
        "config": {"retention.ms": -1, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0.5},
    }
    acl = {"user": "tests", "name": "d", "operations": ["READ"], "resource": "group", "pattern": "prefixed"}
    data = copy.deepcopy(DOORS)
    data["kafka"] |= {"topics": [topic], "acls": [acl]}
    application, problems = read(services, data)
    assert problems == []
    assert [one.plain() for one in application.topics] == [topic]
    assert [one.plain() for one in application.acls] == [acl]


def test_settings_of_topics_are_named_once() -> None:
    assert len(set(NAMES)) == len(NAMES)


def loaded(services: Path, **kafka: dict[str, Any]) -> list[str]:
    """Return what is told of applications that declare this of Kafka."""
    for name, part in kafka.items():
        (services / name).mkdir(exist_ok=True)
        (services / name / "application.yml").write_text(yaml.safe_dump({"services": {}, "kafka": part}))
    try:
        load_applications(services)
    except InvalidInputError as error:
        return list(error.problems)
    return []


def topics(*names: str) -> dict[str, Any]:
    return {"topics": [{"name": name, "partitions": 1} for name in names]}


def test_names_that_differ_only_in_dots_are_told_with_both_files(services: Path) -> None:
    assert loaded(services, one=topics("a.b"), other=topics("x", "a_b")) == [
        (
            "services/other/application.yml: kafka.topics[1].name: 'a_b' differs from 'a.b'"
            " (services/one/application.yml) only in . and _, which Kafka refuses; rename one"
        )
    ]
    assert loaded(services, one=topics("a.b"), other=topics("x", "a-b")) == []


@pytest.mark.parametrize(
    ("acl", "told"),
    [
        ({"name": "a.b"}, False),
        ({"name": "a.c"}, True),
        ({"name": "a.c", "pattern": "prefixed"}, False),
        ({"name": "a.c", "resource": "group", "operations": ["READ"]}, False),
    ],
)
def test_a_topic_of_an_acl_is_one_of_any_application(services: Path, acl: dict[str, Any], told: bool) -> None:  # noqa: FBT001 - a parameter of the test
    other = {"acls": [{"user": "tests", "operations": ["READ"], **acl}]}
    missing = "no application declares the topic 'a.c' in kafka.topics"
    expected = [f"services/other/application.yml: kafka.acls[0].name: {missing}"] if told else []
    assert loaded(services, one=topics("a.b"), other=other) == expected
