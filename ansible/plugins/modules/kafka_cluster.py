#!/usr/bin/python
"""Ansible module: topics, SCRAM users and ACLs of a Kafka cluster as declared."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kafka_cluster
short_description: Bring a Kafka cluster's topics, SCRAM users and ACLs to what is declared
description:
  - Runs on a broker with a Python that has kafka-python, and speaks as the node's certificate (a super user).
  - Passwords never stand on a command line. An unchanged one is recognised by logging in with it.
  - Users and ACLs that aren't declared are removed.
  - Topics are never deleted, their partitions never made fewer.
options:
  bootstrap:
    description: Addresses HOST:PORT of the brokers' listener for mutual TLS.
    type: list
    elements: str
    required: true
  login_bootstrap:
    description: Addresses HOST:PORT of the brokers' listener for passwords.
    type: list
    elements: str
    required: true
  ca:
    description: Certificate of the authority.
    type: path
    required: true
  certificate:
    description: The node's certificate.
    type: path
    required: true
  key:
    description: Its private key.
    type: path
    required: true
  timeout:
    description: Longest wait for an answer of the brokers, in seconds.
    type: int
    default: 180
  replication_factor:
    description: Replication factor of topics that name none.
    type: int
    default: 3
  topics:
    description: Declared topics. A topic's dynamic configuration becomes exactly O(topics[].config).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      partitions:
        description: Number of partitions.
        type: int
        required: true
      replication_factor:
        description: Number of copies.
        type: int
      config:
        description: The topic's configuration.
        type: dict
        default: {}
      allow_growth:
        description: Whether partitions may be added; in a keyed topic that moves keys to other partitions.
        type: bool
        default: false
  users:
    description: SCRAM-SHA-512 users.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      password:
        description: Password.
        type: str
        required: true
  acls:
    description: What principals are allowed.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: Name of the user.
        type: str
        required: true
      resource:
        description: Kind of resource.
        type: str
        choices: [topic, group, transactional_id, cluster]
        default: topic
      name:
        description: Name of the resource, or its beginning; C(kafka-cluster) for the cluster.
        type: str
        required: true
      pattern:
        description: Whether the name is the whole name or a beginning.
        type: str
        choices: [literal, prefixed]
        default: literal
      operations:
        description: Operations such as READ.
        type: list
        elements: str
        required: true
author: Millrace (@millrace)
"""

EXAMPLES = r"""
- name: Declare a topic, its writer and what the writer may do
  kafka_cluster:
    bootstrap: [kafka-1:9093]
    login_bootstrap: [kafka-1:9092]
    ca: /etc/millrace/pki/ca.crt
    certificate: /etc/millrace/pki/node.crt
    key: /etc/millrace/pki/node.key
    topics: [{name: orders, partitions: 3}]
    users: [{name: writer, password: "{{ secret }}"}]
    acls: [{user: writer, name: orders, operations: [WRITE, DESCRIBE]}]
  vars:
    ansible_python_interpreter: /opt/kafka/admin/venv/bin/python
"""

RETURN = r"""
changes:
  description: One line for each change, without secrets.
  type: list
  elements: str
  returned: success
"""

# Ansible wants the documentation above the imports.
import logging  # noqa: E402
from dataclasses import dataclass, field  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

ARGUMENTS: dict[str, Any] = {
    "bootstrap": {"type": "list", "elements": "str", "required": True},
    "login_bootstrap": {"type": "list", "elements": "str", "required": True},
    "timeout": {"type": "int", "default": 180},
    "ca": {"type": "path", "required": True},
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "required": True, "no_log": False},
    "replication_factor": {"type": "int", "default": 3},
    "topics": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "partitions": {"type": "int", "required": True},
            "replication_factor": {"type": "int"},
            "config": {"type": "dict", "default": {}},
            "allow_growth": {"type": "bool", "default": False},
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    "acls": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "user": {"type": "str", "required": True},
            "resource": {
                "type": "str",
                "choices": ["topic", "group", "transactional_id", "cluster"],
                "default": "topic",
            },
            "name": {"type": "str", "required": True},
            "pattern": {"type": "str", "choices": ["literal", "prefixed"], "default": "literal"},
            "operations": {"type": "list", "elements": "str", "required": True},
        },
    },
}
_ITERATIONS = 8192
# Parts of the longest wait: a request to a broker that hangs goes to another one after the first. A refused
# login lasts as long as it may, so it may not last long; a slow machine still needs some time for it.
_REQUEST_SHARE = 6
_LOGIN_SHARE = 45
_LOGIN_TRIES = 15


class ClusterError(Exception):
    """What is declared can't be reached; the text says why and what to do."""


@dataclass(frozen=True)
class Topic:
    """A topic as it is or should be."""

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str] = field(default_factory=dict)
    allow_growth: bool = False


@dataclass(frozen=True, order=True)
class Rule:
    """One allowing ACL: who may do what with which resource."""

    principal: str
    resource: str
    pattern: str
    name: str
    operation: str
    host: str = "*"
    permission: str = "ALLOW"

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"{self.permission.lower()} {self.principal} {self.operation} "
            f"on {self.pattern.lower()} {self.resource.lower()} {self.name}"
        )


@dataclass(frozen=True)
class TopicPlan:
    """What to do about topics."""

    create: list[Topic]
    grow: list[Topic]
    configure: dict[str, dict[str, str | None]]
    """Topic -> key -> value, None to go back to the default."""

    def lines(self) -> list[str]:
        """Say each change in a line."""
        lines = [f"create topic {topic.name} with {topic.partitions} partitions" for topic in self.create]
        lines += [f"grow topic {topic.name} to {topic.partitions} partitions" for topic in self.grow]
        for name, settings in self.configure.items():
            for key, value in settings.items():
                lines.append(
                    f"topic {name}: " + (f"{key} = {value}" if value is not None else f"reset {key}")
                )
        return lines


def plan_topics(wanted: list[Topic], present: dict[str, Topic]) -> TopicPlan:
    """Compare topics; raises ClusterError for what must not or can't be done."""
    plan = TopicPlan([], [], {})
    for topic in wanted:
        now = present.get(topic.name)
        if now is None:
            plan.create.append(topic)
            continue
        if topic.replication_factor != now.replication_factor:
            message = (
                f"topic {topic.name} has {now.replication_factor} copies and {topic.replication_factor} are "
                "declared: move its partitions with kafka-cli reassign.ReassignPartitionsCommand first"
            )
            raise ClusterError(message)
        if topic.partitions < now.partitions:
            message = (
                f"topic {topic.name} has {now.partitions} partitions; it can't go down to {topic.partitions}"
            )
            raise ClusterError(message)
        if topic.partitions > now.partitions and not topic.allow_growth:
            message = (
                f"topic {topic.name} has {now.partitions} partitions and {topic.partitions} are declared: "
                "that moves keys to other partitions; set allow_growth on the topic if that does no harm"
            )
            raise ClusterError(message)
        if topic.partitions > now.partitions:
            plan.grow.append(topic)
        settings: dict[str, str | None] = {
            key: value for key, value in topic.config.items() if now.config.get(key) != value
        }
        settings.update(dict.fromkeys(set(now.config) - set(topic.config)))
        if settings:
            plan.configure[topic.name] = dict(sorted(settings.items()))
    return plan


def rules_of(acls: list[dict[str, Any]]) -> set[Rule]:
    """Turn the declared ACLs into single rules; raises ClusterError for an unknown operation."""
    known = {"READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"}
    known |= {"CLUSTER_ACTION", "IDEMPOTENT_WRITE", "ALL"}
    rules = set()
    for acl in acls:
        for operation in acl["operations"]:
            if operation.upper() not in known:
                message = f"{operation!r} isn't an operation; there are {', '.join(sorted(known))}"
                raise ClusterError(message)
            resource, pattern = acl["resource"].upper(), acl["pattern"].upper()
            rules.add(Rule(f"User:{acl['user']}", resource, pattern, acl["name"], operation.upper()))
    return rules


def topic_text(value: object) -> str:
    """Write a configuration value as Kafka does."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def wanted_topics(params: dict[str, Any]) -> list[Topic]:
    """Read the declared topics."""
    return [
        Topic(
            topic["name"],
            topic["partitions"],
            topic["replication_factor"] or params["replication_factor"],
            {key: topic_text(value) for key, value in topic["config"].items()},
            topic["allow_growth"],
        )
        for topic in params["topics"]
    ]


class _Listener(logging.Handler):
    """Notes whether the client's log speaks of a refused login."""

    refused = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one message."""
        self.refused = self.refused or "SaslAuthenticationFailedError" in record.getMessage()


class Cluster:
    """The cluster over its administration protocol."""

    def __init__(self, params: dict[str, Any]) -> None:
        """Connect with the node's certificate."""
        from kafka import admin, errors  # type: ignore[import-untyped]  # noqa: PLC0415 - only the node has it

        self._admin, self._errors = admin, errors
        self._login = {
            "bootstrap_servers": params["login_bootstrap"],
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "ssl_cafile": params["ca"],
        }
        self._login_ms = params["timeout"] * 1000 // _LOGIN_SHARE
        self._client = admin.KafkaAdminClient(
            bootstrap_servers=params["bootstrap"],
            security_protocol="SSL",
            ssl_cafile=params["ca"],
            ssl_certfile=params["certificate"],
            ssl_keyfile=params["key"],
            bootstrap_timeout_ms=params["timeout"] * 1000,
            request_timeout_ms=params["timeout"] * 1000 // _REQUEST_SHARE,
        )

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def topics(self, names: list[str]) -> dict[str, Topic]:
        """Return those of the named topics that exist."""
        present = sorted(set(names) & set(self._client.list_topics()))
        if not present:
            return {}
        resources = [self._admin.ConfigResource("TOPIC", name) for name in present]
        configs = self._client.describe_configs(resources, config_filter="all")["topic"]
        found = {}
        for topic in self._client.describe_topics(present):
            partitions = topic["partitions"]
            dynamic = {
                key: str(data["value"])
                for key, data in configs[topic["name"]].items()
                if str(data["config_source"]).endswith("DYNAMIC_TOPIC_CONFIG")
            }
            copies = len(partitions[0]["replica_nodes"])
            found[topic["name"]] = Topic(topic["name"], len(partitions), copies, dynamic)
        return found

    def apply_topics(self, plan: TopicPlan) -> None:
        """Create, grow and configure."""
        if plan.create:
            self._client.create_topics(
                {
                    topic.name: {
                        "num_partitions": topic.partitions,
                        "replication_factor": topic.replication_factor,
                        "configs": topic.config,
                    }
                    for topic in plan.create
                },
                wait_for_metadata=True,
            )
        if plan.grow:
            self._client.create_partitions({topic.name: topic.partitions for topic in plan.grow})
        if plan.configure:
            resources = [
                self._admin.ConfigResource(
                    "TOPIC",
                    name,
                    {
                        key: ("DELETE", None) if value is None else ("SET", value)
                        for key, value in settings.items()
                    },
                )
                for name, settings in plan.configure.items()
            ]
            self._client.alter_configs(resources)

    def users(self) -> set[str]:
        """Return the names of all users that have a SCRAM password."""
        return set(self._client.describe_user_scram_credentials())

    def accepts(self, user: str, password: str) -> bool:
        """Whether the user may log in with this password; raises ClusterError where that can't be told.

        kafka-python tries a refused login again until its time is over and then reports a timeout; only its
        log tells a refusal from a broker that doesn't answer.
        """
        heard = _Listener()
        log = logging.getLogger("kafka")
        log.addHandler(heard)
        try:
            for _ in range(_LOGIN_TRIES):
                try:
                    client = self._admin.KafkaAdminClient(
                        **self._login,
                        sasl_plain_username=user,
                        sasl_plain_password=password,
                        bootstrap_timeout_ms=self._login_ms,
                    )
                except self._errors.KafkaError:
                    if heard.refused:
                        return False
                else:
                    client.close()
                    return True
        finally:
            log.removeHandler(heard)
        message = f"the brokers don't answer on {', '.join(self._login['bootstrap_servers'])}"
        raise ClusterError(message)

    def apply_users(self, passwords: dict[str, str], removed: list[str]) -> None:
        """Set the passwords and remove users."""
        mechanism = self._admin.ScramMechanism.SCRAM_SHA_512
        alterations = [
            self._admin.UserScramCredentialUpsertion(name, mechanism, password, iterations=_ITERATIONS)
            for name, password in passwords.items()
        ]
        alterations += [self._admin.UserScramCredentialDeletion(name, mechanism) for name in removed]
        failed = {
            name: error
            for name, error in self._client.alter_user_scram_credentials(alterations).items()
            if error
        }
        if failed:
            message = f"users could not be changed: {failed}"
            raise ClusterError(message)

    def rules(self) -> set[Rule]:
        """Return all ACLs."""
        admin = self._admin
        everything = admin.ACLFilter(
            None,
            None,
            admin.ACLOperation.ANY,
            admin.ACLPermissionType.ANY,
            admin.ResourcePatternFilter(admin.ResourceType.ANY, None, admin.ACLResourcePatternType.ANY),
        )
        acls, error = self._client.describe_acls(everything)
        if error is not self._errors.NoError:
            message = f"the ACLs can't be read: {error}"
            raise ClusterError(message)
        return {
            Rule(
                acl.principal,
                acl.resource_pattern.resource_type.name,
                acl.resource_pattern.pattern_type.name,
                acl.resource_pattern.resource_name,
                acl.operation.name,
                acl.host,
                acl.permission_type.name,
            )
            for acl in acls
        }

    def apply_rules(self, added: list[Rule], removed: list[Rule]) -> None:
        """Add first, so that nobody loses a right in between, then remove."""
        admin = self._admin

        def parts(rule: Rule) -> tuple[Any, ...]:
            return (
                rule.principal,
                rule.host,
                admin.ACLOperation[rule.operation],
                admin.ACLPermissionType[rule.permission],
            )

        def pattern(rule: Rule) -> tuple[Any, ...]:
            return (admin.ResourceType[rule.resource], rule.name, admin.ACLResourcePatternType[rule.pattern])

        if added:
            failed = self._client.create_acls(
                [admin.ACL(*parts(r), admin.ResourcePattern(*pattern(r))) for r in added]
            )["failed"]
            if failed:
                message = f"ACLs could not be added: {failed}"
                raise ClusterError(message)
        if removed:
            filters = [admin.ACLFilter(*parts(r), admin.ResourcePatternFilter(*pattern(r))) for r in removed]
            for _, _, error in self._client.delete_acls(filters):
                if error is not self._errors.NoError:
                    message = f"ACLs could not be removed: {error}"
                    raise ClusterError(message)


def bring(cluster: Cluster, params: dict[str, Any], *, check: bool) -> list[str]:
    """Compare everything, then, unless only checking, change it; returns the changes in words."""
    topics = wanted_topics(params)
    topic_plan = plan_topics(topics, cluster.topics([topic.name for topic in topics]))
    wanted_rules, present_rules = rules_of(params["acls"]), cluster.rules()
    added, removed = sorted(wanted_rules - present_rules), sorted(present_rules - wanted_rules)
    users = {user["name"]: user["password"] for user in params["users"]}
    known = cluster.users()
    passwords = {
        name: password
        for name, password in users.items()
        if name not in known or not cluster.accepts(name, password)
    }
    gone = sorted(known - set(users))

    lines = topic_plan.lines()
    lines += [f"{'change the password of' if name in known else 'create'} user {name}" for name in passwords]
    lines += [f"remove user {name}" for name in gone]
    lines += [f"add: {rule}" for rule in added] + [f"remove: {rule}" for rule in removed]
    if not check:
        cluster.apply_topics(topic_plan)
        if passwords or gone:
            cluster.apply_users(passwords, gone)
        cluster.apply_rules(added, removed)
    return lines


def main() -> None:
    """Bring the cluster to what the arguments declare."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        from kafka.errors import KafkaError  # type: ignore[import-untyped]  # noqa: PLC0415 - only the node has it
    except ImportError as error:
        module.fail_json(msg=f"{error}: kafka_cluster needs a Python with kafka-python as its interpreter")
    try:
        cluster = Cluster(module.params)
        try:
            changes = bring(cluster, module.params, check=module.check_mode)
        finally:
            cluster.close()
    except (ClusterError, KafkaError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{line}\n" for line in changes)}
    module.exit_json(changed=bool(changes), changes=changes, diff=diff)


if __name__ == "__main__":
    main()
