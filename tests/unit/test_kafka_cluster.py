"""What the module kafka_cluster decides: the comparison of what is declared with what is there."""

# ruff: noqa: ANN401 - the module is loaded by its path, so its types are unknown here

from __future__ import annotations

from typing import Any

import pytest
from plugin_modules import load_module

kafka_cluster: Any = load_module("kafka_cluster")
Topic = kafka_cluster.Topic


def plan(wanted: Any, present: Any) -> Any:
    return kafka_cluster.plan_topics([wanted], {present.name: present} if present else {})


def test_missing_topic_is_created() -> None:
    assert plan(Topic("a", 3, 3, {"k": "v"}), None).lines() == ["create topic a with 3 partitions"]


def test_equal_topic_is_left_alone() -> None:
    assert plan(Topic("a", 3, 3, {"k": "v"}), Topic("a", 3, 3, {"k": "v"})).lines() == []


def test_configuration_becomes_exactly_what_is_declared() -> None:
    lines = plan(Topic("a", 3, 3, {"k": "new", "m": "1"}), Topic("a", 3, 3, {"k": "old", "z": "9"})).lines()
    assert lines == ["topic a: k = new", "topic a: m = 1", "topic a: reset z"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Topic("a", 2, 3), "can't go down to 2"),
        (Topic("a", 4, 3), "moves keys"),
        (Topic("a", 3, 2), "3 copies and 2 are declared"),
    ],
)
def test_what_does_harm_is_refused(wanted: Any, said: str) -> None:
    with pytest.raises(kafka_cluster.ClusterError, match=said):
        plan(wanted, Topic("a", 3, 3))


def test_growth_can_be_allowed() -> None:
    assert plan(Topic("a", 6, 3, allow_growth=True), Topic("a", 3, 3)).lines() == [
        "grow topic a to 6 partitions"
    ]


def test_each_operation_is_a_rule() -> None:
    acl = {
        "user": "u",
        "resource": "topic",
        "name": "t.",
        "pattern": "prefixed",
        "operations": ["READ", "describe"],
    }
    rules = sorted(str(rule) for rule in kafka_cluster.rules_of([acl]))
    assert rules == ["allow User:u DESCRIBE on prefixed topic t.", "allow User:u READ on prefixed topic t."]


def test_unknown_operation_is_named() -> None:
    acl = {"user": "u", "resource": "topic", "name": "t", "pattern": "literal", "operations": ["PEEK"]}
    with pytest.raises(kafka_cluster.ClusterError, match="'PEEK' isn't an operation"):
        kafka_cluster.rules_of([acl])


class FakeCluster:
    """A cluster in memory that notes what is done to it."""

    def __init__(self) -> None:
        """Start with a user to keep, one to change and one to remove."""
        self.passwords = {"kept": "same", "changed": "old", "gone": "x"}
        self.acls = kafka_cluster.rules_of(
            [{"user": "gone", "resource": "topic", "name": "t", "pattern": "literal", "operations": ["READ"]}]
        )
        self.existing: dict[str, Any] = {"undeclared": Topic("undeclared", 1, 1)}

    def topics(self, names: list[str]) -> dict[str, Any]:
        """Return what exists of the named topics."""
        return {name: topic for name, topic in self.existing.items() if name in names}

    def apply_topics(self, topics: Any) -> None:
        """Create."""
        self.existing.update({topic.name: topic for topic in topics.create})

    def users(self) -> set[str]:
        """Return all names."""
        return set(self.passwords)

    def accepts(self, user: str, password: str) -> bool:
        """Compare the password."""
        return self.passwords[user] == password

    def apply_users(self, passwords: dict[str, str], removed: list[str]) -> None:
        """Set and remove."""
        self.passwords.update(passwords)
        for name in removed:
            del self.passwords[name]

    def rules(self) -> Any:
        """Return all rules."""
        return set(self.acls)

    def apply_rules(self, added: Any, removed: Any) -> None:
        """Add and remove."""
        self.acls = (self.acls | set(added)) - set(removed)


PARAMS = {
    "replication_factor": 3,
    "topics": [
        {"name": "t", "partitions": 3, "replication_factor": None, "config": {}, "allow_growth": False}
    ],
    "users": [
        {"name": "kept", "password": "same"},
        {"name": "changed", "password": "new"},
        {"name": "added", "password": "fresh"},
    ],
    "acls": [
        {"user": "kept", "resource": "topic", "name": "t", "pattern": "literal", "operations": ["READ"]}
    ],
}


def test_a_second_run_changes_nothing() -> None:
    cluster = FakeCluster()
    first = kafka_cluster.bring(cluster, PARAMS, check=False)
    assert first == [
        "create topic t with 3 partitions",
        "change the password of user changed",
        "create user added",
        "remove user gone",
        "add: allow User:kept READ on literal topic t",
        "remove: allow User:gone READ on literal topic t",
    ]
    assert kafka_cluster.bring(cluster, PARAMS, check=False) == []
    assert "undeclared" in cluster.existing


def test_checking_changes_nothing_and_names_no_password() -> None:
    cluster = FakeCluster()
    lines = kafka_cluster.bring(cluster, PARAMS, check=True)
    assert vars(cluster) == vars(FakeCluster())
    assert not [line for line in lines if "new" in line or "fresh" in line]
