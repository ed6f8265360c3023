"""What roles write and refuse for one broker, one DataNode, and one node that has every role of Spark."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from rendering import ROOT, load

ALONE = {
    "inventory_hostname": "one-1",
    "ansible_managed": "written by a test",
    "millrace_versions": {"maven": {"kafka": "1", "hadoop": "1"}, "pyspark": "1", "pyspark_sha256": "0"},
    "millrace_address": "10.0.0.1",
    "millrace_nodes": {"one-1": {"address": "10.0.0.1", "fqdn": "one-1.test"}},
}
KAFKA = {
    "kafka_hosts": [{"name": "one-1", "fqdn": "one-1.test"}],
    "kafka_cluster_id": "A" * 22,
    "kafka_replication_factor": 1,
    "kafka_min_insync_replicas": 1,
}
HDFS = {
    "hdfs_cluster_id": "one",
    "hdfs_namenode": "one-1",
    "hdfs_datanodes": ["one-1"],
    "hdfs_replication": 1,
}


def role(name: str, given: dict[str, Any]) -> Templar:
    """Return what renders templates with a role's variables, on the only node of an environment."""
    folder = ROOT / "roles" / name
    variables = {
        **load(folder / "defaults" / "main.yml"),
        **ALONE,
        **load(folder / "vars" / "main.yml"),
        "role_path": str(folder),
        **given,
    }
    return Templar(loader=DataLoader(), variables=variables)


def rendered(name: str, given: dict[str, Any], text: str) -> Any:  # noqa: ANN401 - whatever it makes
    return role(name, given).template(trust_as_template(text))


def refusals(name: str, given: dict[str, Any]) -> list[str]:
    """Return what the role's preflight says of settings; nothing where it goes on."""
    templar = role(name, given)
    said = []
    for task in load(ROOT / "roles" / name / "tasks" / "preflight.yml"):
        check = task["ansible.builtin.assert"]
        conditions = check["that"] if isinstance(check["that"], list) else [check["that"]]
        if not all(templar.evaluate_conditional(trust_as_template(condition)) for condition in conditions):
            said.append(str(templar.template(check["fail_msg"])))
    return said


def script(name: str, given: dict[str, Any], template: str) -> dict[str, Any]:
    """Return what a script that a role writes defines, without running its main."""
    text = rendered(name, given, (ROOT / "roles" / name / "templates" / template).read_text(encoding="utf-8"))
    found: dict[str, Any] = {"__name__": "script"}
    exec(compile(text, template, "exec"), found)  # noqa: S102 - our own text
    return found


@pytest.mark.parametrize(("name", "given"), [("kafka", KAFKA), ("hdfs", HDFS)])
def test_a_cluster_of_one_is_accepted(name: str, given: dict[str, Any]) -> None:
    assert refusals(name, given) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kafka_min_insync_replicas": 2}, "kafka_min_insync_replicas (2)"),
        ({"kafka_replication_factor": 3}, "number of brokers (1)"),
        ({"kafka_min_insync_replicas": 0}, "kafka_min_insync_replicas (0)"),
        ({"kafka_topics": [{"name": "a", "partitions": 1, "replication_factor": 2}]}, "than brokers: ['a']"),
        (
            {"kafka_topics": [{"name": "a", "partitions": 1, "config": {"min.insync.replicas": 2}}]},
            "exceeds their copies: ['a']",
        ),
    ],
)
def test_copies_that_cannot_be_are_refused_in_one_line(change: dict[str, Any], said: str) -> None:
    (refusal,) = refusals("kafka", KAFKA | change)
    assert said in refusal
    assert "\n" not in refusal


def test_kafka_keeps_its_own_topics_as_often_as_all_others() -> None:
    config = rendered("kafka", KAFKA, "{{ __kafka_config }}")
    copies = {key: str(value) for key, value in config.items() if "replication.factor" in key or "isr" in key}
    copies["min.insync.replicas"] = str(config["min.insync.replicas"])
    assert len(copies) == 7
    assert set(copies.values()) == {"1"}


def test_hdfs_more_copies_than_datanodes_are_refused() -> None:
    assert "hdfs_replication (2)" in refusals("hdfs", HDFS | {"hdfs_replication": 2})[0]


def test_the_only_broker_waits_for_no_other_before_it_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(**settings: object) -> None:
        message = f"asked for a client with {settings}"
        raise AnsibleError(message)

    kafka, errors = ModuleType("kafka"), ModuleType("kafka.errors")
    kafka.KafkaAdminClient = nobody  # type: ignore[attr-defined]
    errors.KafkaError = OSError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kafka", kafka)
    monkeypatch.setitem(sys.modules, "kafka.errors", errors)
    # The script silences its process, which is this one.
    monkeypatch.setattr(logging, "disable", lambda _level: None)
    ready = script("kafka", KAFKA, "kafka-ready.py.j2")
    monkeypatch.setattr(sys, "argv", ["kafka-ready", "--without", "1", "--timeout", "0"])
    assert ready["main"]() == 0
    with pytest.raises(AnsibleError, match="asked for a client"):
        ready["missing"]({1})


def test_the_only_datanode_waits_for_no_other_before_it_restarts() -> None:
    # The NameNode is in safe mode, or cannot be asked, for as long as this DataNode is away.
    assert script("hdfs", HDFS, "hdfs-ready.py.j2")["others"]() == ""


def test_a_node_can_be_all_of_spark_at_once() -> None:
    given = {"spark_roles": ["client", "master", "worker", "history"], "spark_master_host": "one-1.test"}
    assert rendered("spark", given, "{{ __spark_units }}") == ["master", "worker", "history"]
    config = rendered("spark", given, "{{ __spark_config }}")
    for part in ("common", "master", "worker", "history", "client"):
        assert rendered("spark", given, f"{{{{ __spark_config_{part} }}}}").items() <= config.items()
    names = ["master", "master_ui", "worker", "worker_ui", "history_ui", "block_manager", "job_driver"]
    ports = [rendered("spark", given, f"{{{{ spark_{name}_port }}}}") for name in names]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize(
    ("roles", "python"),
    [(["worker", "client"], "executors"), (["client"], "drivers"), (["master"], "executors")],
)
def test_executors_never_get_pandas(roles: list[str], python: str) -> None:
    assert rendered("spark", {"spark_roles": roles}, "{{ __spark_python }}") == python
