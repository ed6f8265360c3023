"""HDFS keeps what is given to it, for whom it may, asked through the daemons' own WebHDFS on their nodes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import probe
import pytest

from millrace.access import remote
from millrace.model.replication import hdfs_factor

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

NODES, SERVICES = probe.ENVIRONMENT.topology, probe.ENVIRONMENT.catalogue.services
NAMENODE = NODES.members("hdfs_namenode")[0].name
DATANODES = [node.name for node in NODES.members("hdfs_datanodes")]
COPIES = hdfs_factor(len(DATANODES))
RPC = f"{NAMENODE}.{NODES.domain}:{SERVICES['hdfs-namenode'].ports['rpc'].first}"
FILE = "/.end-to-end-test"
CONTENT = "kept by HDFS\n" * 1000


def ask(service: str, node: str, method: str, path: str, body: str = "", **query: str) -> str:
    """Return what the WebHDFS of a daemon says, a refusal too."""
    port = SERVICES[service].ports["http"].first
    url = f"http://127.0.0.1:{port}/webhdfs/v1{path}?{urlencode({'user.name': 'hdfs', **query})}"
    return remote.run(
        node,
        ["curl", "-sS", "--noproxy", "*", "-m", "60", "-X", method, "--data-binary", "@-", url],
        stdin=body,
    )


def namenode(method: str, path: str, **query: str) -> str:
    """Ask the NameNode."""
    return ask("hdfs-namenode", NAMENODE, method, path, **query)


@pytest.fixture
def written() -> Iterator[None]:
    """Give a file that was written through the first DataNode."""
    query = {"op": "CREATE", "overwrite": "true", "replication": str(COPIES), "namenoderpcaddress": RPC}
    assert ask("hdfs-datanode", DATANODES[0], "PUT", FILE, CONTENT, **query) == ""
    yield
    assert json.loads(namenode("DELETE", FILE, op="DELETE")) == {"boolean": True}


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("node", DATANODES)
def test_a_file_is_read_through_every_datanode(node: str) -> None:
    query = {"op": "OPEN", "offset": "0", "namenoderpcaddress": RPC}
    assert ask("hdfs-datanode", node, "GET", FILE, **query) == CONTENT


@pytest.mark.usefixtures("written")
def test_a_file_has_as_many_copies_as_the_nodes_allow() -> None:
    (block,) = json.loads(namenode("GET", FILE, op="GETFILEBLOCKLOCATIONS"))["BlockLocations"][
        "BlockLocation"
    ]
    assert len(set(block["hosts"])) == COPIES
    assert {host.partition(".")[0] for host in block["hosts"]} <= set(DATANODES)


def test_the_lake_is_for_its_group_alone() -> None:
    query = {"op": "CHECKACCESS", "fsaction": "rwx"}
    assert namenode("GET", "/lake", **query, **{"user.name": "sensors-job"}) == ""
    refused = json.loads(namenode("GET", "/lake", **query, **{"user.name": "somebody"}))
    assert refused["RemoteException"]["exception"] == "AccessControlException"


def test_only_the_superuser_writes_outside_of_what_was_given_away() -> None:
    refused = json.loads(namenode("PUT", "/somewhere", op="MKDIRS", **{"user.name": "sensors-job"}))
    assert refused["RemoteException"]["exception"] == "AccessControlException"
