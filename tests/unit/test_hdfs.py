"""What the role hdfs' files say together, and what its settings and its firewall must never lose."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
import rendering
import yaml

from millrace import paths

ROLE = paths.repo_root() / "roles" / "hdfs"
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}
LOOPBACK = "127.0.0.1"


def read(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((paths.repo_root() / path).read_text(encoding="utf-8"))
    return loaded


TOPOLOGY = read("inventories/lab/topology.yml")
DATANODES = [name for name, node in TOPOLOGY["nodes"].items() if "hdfs_datanodes" in node["groups"]]


def settings(host: str, name: str) -> dict[str, str]:
    """Return the settings of one of a lab node's files, as Hadoop reads them."""
    use = next(use for use in rendering.uses() if use.role == "hdfs")
    template = (ROLE / "templates" / "site.xml.j2").read_text(encoding="utf-8")
    text = rendering.environment("lab").render(use, host, template, {"item": name})
    found = ET.fromstring(text)  # noqa: S314 - our own text
    return {entry.findtext("name", ""): entry.findtext("value", "") for entry in found}


@pytest.mark.parametrize("host", ["spark-1", *DATANODES])
def test_blocks_are_encrypted_and_permissions_hold(host: str) -> None:
    wanted = {
        "dfs.block.access.token.enable": "true",
        "dfs.encrypt.data.transfer": "true",
        "dfs.encrypt.data.transfer.cipher.suites": "AES/CTR/NoPadding",
        "dfs.permissions.enabled": "true",
    }
    assert wanted.items() <= settings(host, "hdfs-site.xml").items()
    assert settings(host, "core-site.xml")["hadoop.security.authorization"] == "true"


def test_web_pages_listen_on_the_loopback_address_alone() -> None:
    every = settings("spark-1", "hdfs-site.xml") | settings("worker-1", "hdfs-site.xml")
    pages = {key: value for key, value in every.items() if key.endswith(("http-address", "http.address"))}
    assert len(pages) == 3
    assert {value.partition(":")[0] for value in pages.values()} == {LOOPBACK}


def test_the_namenode_takes_the_datanodes_of_the_topology_alone() -> None:
    given = settings("spark-1", "hdfs-site.xml")
    assert given["dfs.hosts"] == "/etc/hdfs/datanodes"
    assert given["dfs.namenode.datanode.registration.ip-hostname-check"] == "true"
    use = next(use for use in rendering.uses() if use.role == "hdfs")
    template = (ROLE / "templates" / "datanodes.j2").read_text(encoding="utf-8")
    listed = rendering.environment("lab").render(use, "spark-1", template, {})
    assert listed.split() == [f"{node}.{TOPOLOGY['domain']}" for node in DATANODES]


def test_only_clients_protocols_are_for_everybody() -> None:
    policy = settings("spark-1", "hadoop-policy.xml")
    everybody = {key for key, value in policy.items() if value == "*"}
    assert {key for key in everybody if key.endswith(".acl")} == {
        "security.client.protocol.acl",
        "security.client.datanode.protocol.acl",
    }
    assert policy["security.service.authorization.default.acl"] == "hdfs"
    address = TOPOLOGY["nodes"]["spark-1"]["address"]
    assert policy["security.service.authorization.default.hosts"] == f"{address},{LOOPBACK}"


def test_groups_of_a_user_are_those_that_name_it() -> None:
    use = next(use for use in rendering.uses() if use.role == "hdfs")
    groups = {"lake": ["a", "b"], "archive": ["b"], "empty": []}
    template = "{{ __hdfs_core['hadoop.user.group.static.mapping.overrides'] }}"
    found = rendering.environment("lab").render(use, "spark-1", template, {"hdfs_groups": groups})
    assert found == "a=lake;b=archive,lake;"


def test_the_dead_are_declared_dead_when_the_variable_says() -> None:
    given = settings("spark-1", "hdfs-site.xml")
    heartbeat = 3
    after = read("roles/hdfs/defaults/main.yml")["hdfs_dead_after"]
    assert 2 * int(given["dfs.namenode.heartbeat.recheck-interval"]) / 1000 + 10 * heartbeat == after
    assert int(given["dfs.namenode.stale.datanode.interval"]) / 1000 < after


def test_no_other_node_reaches_a_web_page_and_only_clients_reach_the_rest() -> None:
    services = read("ansible/catalogue.yml")["services"]
    for name in ("hdfs-namenode", "hdfs-datanode"):
        for port, entry in services[name]["ports"].items():
            if port == "http":
                assert entry["from"] == []
            assert set(entry["from"]) <= {"hdfs_namenode", "hdfs_datanodes", "spark_workers"}
