"""What an application declares of Kafka: topics, accounts, and what the accounts may do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millrace.model.topic_config import COPIES, read_topic_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from millrace.yamlio import Reader

# Kafka's accounts of the platform: the super user, and the tests' where all nodes are disposable.
ADMIN = "admin"
TESTS = "tests"
# A broker keeps files open and memory for each: more than this is a slip of the pen.
MOST_PARTITIONS = 1000
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_TOPIC_RULE = "1 to 249 of a-z A-Z 0-9 . _ -, is not . or .. and does not begin with __"
_PATTERNS = ("literal", "prefixed")
# What the module kafka_cluster takes, where Kafka has it for that kind of resource.
OPERATIONS = {
    "topic": ("ALTER", "ALTER_CONFIGS", "CREATE", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS", "READ", "WRITE"),
    "group": ("ALTER_CONFIGS", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS", "READ"),
    "transactional_id": ("DESCRIBE", "WRITE"),
    "cluster": ("ALTER", "ALTER_CONFIGS", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS"),
}
_CLUSTER = "kafka-cluster"
_EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic; without `copies` (0) it has as many as the cluster's topics have by default."""

    name: str
    partitions: int = 1
    copies: int = 0
    config: Mapping[str, object] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as the role kafka takes it."""
        found: dict[str, Any] = {"name": self.name, "partitions": self.partitions}
        if self.copies:
            found["replication_factor"] = self.copies
        if self.config:
            found["config"] = dict(self.config)
        return found


@dataclass(frozen=True, slots=True)
class Acl:
    """What a user may do with a resource. Empty `resource` and `pattern` are the role's: a topic, literal."""

    user: str
    name: str
    operations: tuple[str, ...]
    resource: str = ""
    pattern: str = ""

    @property
    def topic(self) -> str:
        """The one topic that it is about; empty where it is about others or another resource."""
        literal = self.resource in {"", "topic"} and self.pattern in {"", "literal"}
        return self.name if literal else ""

    def plain(self) -> dict[str, Any]:
        """Return it as the role kafka takes it."""
        more = {key: text for key in ("resource", "pattern") if (text := str(getattr(self, key)))}
        return {"user": self.user, "name": self.name, "operations": list(self.operations), **more}


def read_topics(reader: Reader, value: object) -> tuple[Topic, ...]:
    """Return the topics, noting what is wrong with them."""
    return tuple(
        _topic(reader, item, f"kafka.topics[{index}]")
        for index, item in enumerate(reader.items(value, "kafka.topics"))
    )


def _topic(reader: Reader, value: object, where: str) -> Topic:
    fields = reader.fields(value, where, ["name", "partitions"], ["replication_factor", "config"])
    name = reader.text(fields, "name", where)
    if name and (not _TOPIC.fullmatch(name) or name in {".", ".."} or name.startswith("__")):
        reader.add(f"{where}.name", f"a topic's name is {_TOPIC_RULE}, not {name!r}")
    copies = reader.integer(fields, "replication_factor", where, 1, COPIES)
    return Topic(
        name=name,
        partitions=reader.integer(fields, "partitions", where, 1, MOST_PARTITIONS),
        copies=copies if "replication_factor" in fields else 0,
        config=read_topic_config(reader, fields.get("config", {}), f"{where}.config"),
    )


def read_acls(reader: Reader, value: object, accounts: Mapping[str, str]) -> tuple[Acl, ...]:
    """Return the ACLs, noting what is wrong with them; `accounts` are the application's."""
    return tuple(
        _acl(reader, item, f"kafka.acls[{index}]", accounts)
        for index, item in enumerate(reader.items(value, "kafka.acls"))
    )


def _acl(reader: Reader, value: object, where: str, accounts: Mapping[str, str]) -> Acl:
    fields = reader.fields(value, where, ["user", "name", "operations"], ["resource", "pattern"])
    acl = Acl(
        user=reader.text(fields, "user", where),
        name=reader.text(fields, "name", where),
        operations=reader.texts(fields, "operations", where),
        resource=reader.choice(fields, "resource", where, OPERATIONS),
        pattern=reader.choice(fields, "pattern", where, _PATTERNS),
    )
    if acl.user and acl.user not in accounts and acl.user != TESTS:
        listed = ", ".join([*accounts, TESTS])
        reader.add(f"{where}.user", f"must be one of kafka.accounts ({listed}), not {acl.user!r}")
    known = OPERATIONS.get(acl.resource or "topic", ())
    for operation in acl.operations:
        if known and operation not in known:
            reader.add(f"{where}.operations", f"must be some of {', '.join(known)}, not {operation!r}")
    if fields.get("operations") == []:
        reader.add(f"{where}.operations", f"must name some of {', '.join(known)}")
    if acl.name == _EVERYTHING:
        reader.add(f"{where}.name", "'*' would be every one of all applications; name it, or use a prefix")
    elif acl.resource == "cluster" and acl.name and acl.name != _CLUSTER:
        reader.add(f"{where}.name", f"Kafka's only cluster is called {_CLUSTER}, not {acl.name!r}")
    return acl


def check_topics(topics: Mapping[str, tuple[Topic, ...]], acls: Mapping[str, tuple[Acl, ...]]) -> list[str]:
    """Return what is wrong between the topics of all applications, and with ACLs for topics of none.

    Both are given by the file that declares them.
    """
    names = {topic.name for listed in topics.values() for topic in listed}
    problems = list(_alike(topics))
    for place, listed in acls.items():
        for index, acl in enumerate(listed):
            if acl.topic not in {"", _EVERYTHING} and acl.topic not in names:
                where = f"{place}: kafka.acls[{index}].name"
                problems.append(f"{where}: no application declares the topic {acl.topic!r} in kafka.topics")
    return problems


def _alike(topics: Mapping[str, tuple[Topic, ...]]) -> Iterator[str]:
    """Yield a problem for names that are one in the names of Kafka's metrics, so that Kafka refuses them."""
    first: dict[str, tuple[str, str]] = {}
    for place, listed in topics.items():
        for index, topic in enumerate(listed):
            name, other = first.setdefault(topic.name.replace(".", "_"), (topic.name, place))
            if name != topic.name:
                yield (
                    f"{place}: kafka.topics[{index}].name: {topic.name!r} differs from {name!r} ({other})"
                    " only in . and _, which Kafka refuses; rename one"
                )
