"""The provider openstack, with stand-ins for Terraform and for the operator's home."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from millrace import paths
from millrace.access import ssh
from millrace.console import MillraceError
from millrace.model.outline import Outline
from millrace.model.topology import Topology, parse_topology
from millrace.providers import contract, terraform
from millrace.providers.interface import Machine
from millrace.providers.openstack import clouds, needs, servers
from millrace.providers.openstack.provider import Cloud
from millrace.system import OsRelease
from millrace.verbs import nodes

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS: dict[str, Any] = {
    "nodes": {
        "jump": {"address": "10.0.0.2", "public": "203.0.113.9", "data": {}},
        "db-1": {"address": "10.0.0.31", "public": None, "data": {"postgresql": "/dev/disk/by-id/virtio-1"}},
    },
    "bastions": ["jump"],
}
VOLUME = {
    "type": "openstack_blockstorage_volume_v3",
    "name": "data",
    "index": "db-1/postgresql",
    "values": {"size": 40},
}
SERVER = 'module.node["db-1"].openstack_compute_instance_v2.this'
DEBIAN = OsRelease("debian", "13", "trixie", "Debian")


def node(group: str, address: str, **more: object) -> dict[str, object]:
    return {"groups": [group], "address": address, "cores": 1, "memory": 1024, "disk": 8, **more}


def cloud(sources: str = "100.64.0.0/24") -> Topology:
    return parse_topology(
        {
            "environment": "try",
            "provider": "openstack",
            "domain": "try.example",
            "network": {"cidr": "10.0.0.0/24", "gateway": "10.0.0.1"},
            "operator_sources": [sources],
            "openstack": {
                "cloud": "ours",
                "external_network": "public",
                "image": "Debian 13",
                "flavors": {"default": "small"},
            },
            "nodes": {
                "jump": node("bastion", "10.0.0.2"),
                "db-1": node("timescaledb", "10.0.0.31", data={"postgresql": 40}),
            },
        }
    )


@dataclass
class FakeTerraform:
    """What it is told to plan, and a list of what it did."""

    home: Path
    planned: dict[str, str] | None = None
    there: set[str] = field(default_factory=lambda: {"jump", "db-1"})
    done: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    outputs_: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(OUTPUTS))
    kept: list[dict[str, Any]] = field(default_factory=lambda: [VOLUME])

    def init(self) -> None:
        """Make the directory, as the real one does."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.done.append("init")

    def set_variables(self, variables: dict[str, Any]) -> None:
        """Keep the variables."""
        self.variables = variables

    def nodes(self) -> set[str]:
        """Return the nodes of the state."""
        return self.there

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources of the state."""
        return self.kept

    def plan(self) -> dict[str, str] | None:
        """Return what would change."""
        return self.planned

    def apply(self) -> None:
        """Note that it was applied."""
        self.done.append("apply")

    def outputs(self) -> dict[str, Any]:
        """Return the outputs."""
        return self.outputs_

    def destroy(self, *targets: str) -> None:
        """Note what was destroyed."""
        self.done.append(f"destroy {' '.join(targets)}".strip())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an operator's home without clouds.yaml."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(clouds.VARIABLE, raising=False)
    monkeypatch.delenv("DATA", raising=False)
    return tmp_path


@pytest.fixture
def credentials(home: Path) -> Path:
    """Write the clouds.yaml in which the cloud is."""
    path = home / ".config" / "openstack" / "clouds.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("common: &common {auth: {password: hush}}\nclouds: {ours: {<<: *common}, theirs: {}}\n")
    return path


@pytest.fixture
def state(home: Path) -> Path:
    """Return the environment's state directory."""
    path = home / "state" / "try"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def tool(state: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTerraform:
    """Let Terraform be a stand-in, where there are credentials."""
    assert credentials.exists()
    fake = FakeTerraform(state / "terraform")
    fake.home.mkdir()
    monkeypatch.setattr(terraform, "for_environment", lambda *_: fake)
    return fake


def look() -> list[str]:
    found = needs.preparation(Outline("openstack", 0)).look(Machine(DEBIAN, privileged=True, missing=()))
    assert found.plan() == []
    return found.problems()


def test_without_credentials_the_bootstrap_names_the_places(home: Path) -> None:
    (line,) = look()
    assert line.startswith("there is no clouds.yaml, which has the cloud's credentials; looked for ")
    assert f"{home}/.config/openstack/clouds.yaml" in line
    assert "/etc/openstack/clouds.yaml" in line


def test_a_file_that_is_named_counts_alone(credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look() == []
    for given, said in (
        ("/nowhere/clouds.yaml", "/nowhere/clouds.yaml: there is no such file"),
        ("clouds.yaml", "clouds.yaml must be an absolute path"),
    ):
        monkeypatch.setenv(clouds.VARIABLE, given)
        (line,) = look()
        assert line.startswith(f"OS_CLIENT_CONFIG_FILE={said}")
    monkeypatch.setenv(clouds.VARIABLE, str(credentials))
    assert look() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("clouds: {theirs: {}}", "has no cloud 'ours' (openstack.cloud of the topology); it has: theirs"),
        ("clouds: []", "has no cloud 'ours' (openstack.cloud of the topology); it has: none"),
        ("password: [hush", "is not valid YAML (line 1)"),
        ("clouds: {ours: {}}", "the cloud 'ours' is empty; it needs `auth`, with auth_url and credentials"),
    ],
)
def test_an_entry_that_is_not_there_is_told_without_secrets(
    tool: FakeTerraform, credentials: Path, state: Path, content: str, said: str
) -> None:
    credentials.write_text(content)
    for verb in (servers.apply, servers.start, servers.stop, servers.destroy):
        with pytest.raises(MillraceError) as caught:
            verb(cloud(), state)
        assert str(caught.value) == f"{credentials}: {said}"
    assert {"apply", "destroy"}.isdisjoint(tool.done)


@pytest.mark.parametrize("sources", ["192.0.2.0/24", "198.51.100.7", "203.0.112.0/23"])
def test_addresses_of_documentation_are_refused(tool: FakeTerraform, state: Path, sources: str) -> None:
    with pytest.raises(
        MillraceError, match=rf"^inventories/try/topology.yml: operator_sources: {sources} is"
    ):
        servers.apply(cloud(sources), state)
    assert tool.done == []


def test_apply_hands_over_host_keys_and_keeps_the_outputs(tool: FakeTerraform, state: Path) -> None:
    tool.planned = {SERVER: "create"}
    assert servers.apply(cloud(), state)
    assert tool.done == ["init", "apply"]
    assert tool.variables["image"] == "Debian 13"
    assert tool.variables["running"] is True
    assert tool.variables["existing_data"] == {"db-1/postgresql": 40}
    assert tool.variables["release_data"] == []
    assert contract.stored(state) == OUTPUTS
    public = Cloud(cloud(), state).host_keys()
    given = tool.variables["host_keys"]
    assert {name: key["public"] for name, key in given.items()} == public
    assert public["jump"] != public["db-1"]
    for name, key in given.items():
        file = state / "host-keys" / name
        assert file.read_text() == key["private"]
        assert file.stat().st_mode & 0o077 == 0
        made = subprocess.run(  # noqa: S603 - fixed words
            ["/usr/bin/ssh-keygen", "-y", "-f", str(file)], capture_output=True, text=True, check=True
        )
        assert made.stdout.split()[:2] == key["public"].split()[:2]
    tool.planned = None
    assert not servers.apply(cloud(), state)
    assert tool.variables["host_keys"] == given


def test_outputs_of_another_shape_are_refused(tool: FakeTerraform, state: Path) -> None:
    tool.outputs_["nodes"]["jump"]["public"] = None
    with pytest.raises(
        MillraceError, match=r"^Terraform's outputs: bastions: 'jump' is not a node with a pub"
    ):
        servers.apply(cloud(), state)
    assert not (state / contract.FILE).exists()


def test_the_way_in_is_the_jump_host(state: Path) -> None:
    contract.store(state, OUTPUTS)
    assert Cloud(cloud(), state).way() == ssh.Way({"jump": "203.0.113.9"}, "jump")


def test_without_a_jump_host_each_node_has_its_own_way(state: Path) -> None:
    outputs = copy.deepcopy(OUTPUTS) | {"bastions": []}
    provider = Cloud(cloud(), state)
    contract.store(state, outputs)
    with pytest.raises(MillraceError, match=r"^db-1: no public address is known; `make provision` asks"):
        provider.way()
    outputs["nodes"]["db-1"]["public"] = "203.0.113.10"
    contract.store(state, outputs)
    assert provider.way() == ssh.Way({"jump": "203.0.113.9", "db-1": "203.0.113.10"}, "")


def test_stop_and_start_change_nothing_else(tool: FakeTerraform, state: Path) -> None:
    tool.planned = {SERVER: "update"}
    assert servers.stop(cloud(), state)
    assert tool.variables["running"] is False
    servers.start(cloud(), state)
    assert tool.variables["running"] is True
    assert tool.done.count("apply") == 2
    for change in ({SERVER: "replace"}, {"openstack_networking_network_v2.this": "update"}):
        tool.planned = {SERVER: "update"} | change
        with pytest.raises(MillraceError, match=r"^nothing was started or stopped, since .*make provision"):
            servers.stop(cloud(), state)
    assert tool.done.count("apply") == 2


def test_start_names_what_does_not_exist(tool: FakeTerraform, state: Path) -> None:
    tool.there = {"jump"}
    with pytest.raises(MillraceError, match=r"^db-1 do not exist; `make up` makes them$"):
        servers.start(cloud(), state)
    tool.there = set()
    assert not servers.stop(cloud(), state)
    assert "apply" not in tool.done


def test_destroy_leaves_the_data_of_lasting_nodes(
    tool: FakeTerraform, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert servers.losses(cloud())[-1] == "not the data disks db-1/postgresql; DATA=db-1/postgresql would"
    servers.destroy(cloud(), state)
    assert tool.done[-1] == f"destroy {' '.join(servers.ALL_BUT_DATA)}"
    assert tool.variables["existing_data"] == {}
    monkeypatch.setenv("DATA", "db-1/postgresql")
    assert servers.losses(cloud())[-1] == "the data disks db-1/postgresql with all that they hold"
    servers.destroy(cloud(), state)
    assert tool.done[-1] == "destroy"
    assert tool.variables["release_data"] == []


def test_after_a_destroy_servers_get_other_host_keys(tool: FakeTerraform, state: Path) -> None:
    before = Cloud(cloud(), state).host_keys()
    assert Cloud(cloud(), state).host_keys() == before
    servers.destroy(cloud(), state)
    assert tool.done[-1].startswith("destroy")
    assert Cloud(cloud(), state).host_keys()["jump"] != before["jump"]


def test_provision_writes_the_way_in(
    tool: FakeTerraform, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "provider_of", lambda topology: Cloud(topology, state))
    monkeypatch.setattr(nodes, "state_dir", lambda _: state)
    monkeypatch.setattr(ssh, "wait_reachable", lambda *_: None)
    assert nodes.provision(cloud())
    config = (state / "ssh_config").read_text()
    assert "Host jump jump.try.example 10.0.0.2\n  HostName 203.0.113.9\nHost db-1 " in config
    assert "  HostName 10.0.0.31\n  ProxyJump jump\n" in config
    public = tool.variables["host_keys"]["jump"]["public"].rsplit(" ", 1)[0]
    known = (state / "known_hosts").read_text().splitlines()
    assert known[0] == f"jump,jump.try.example,10.0.0.2,203.0.113.9 {public}"
    assert not nodes.provision(cloud())


def test_all_that_the_root_makes_besides_data_is_destroyed_by_name() -> None:
    root = paths.repo_root() / "terraform" / "providers" / "openstack" / "main.tf"
    made = {
        ".".join(line.split('"')[1::2])
        for line in root.read_text().splitlines()
        if line.startswith("resource ")
    }
    # What depends on one that is named goes with it.
    behind = {
        "openstack_networking_subnet_v2.this",
        "openstack_networking_router_interface_v2.this",
        "openstack_networking_secgroup_rule_v2.inside",
        "openstack_networking_secgroup_rule_v2.out",
        "openstack_networking_secgroup_rule_v2.outside",
    }
    assert made - behind - {"openstack_blockstorage_volume_v3.data"} == set(servers.ALL_BUT_DATA) - {
        "module.node"
    }


def test_what_was_kept_is_read_as_it_is(state: Path) -> None:
    assert contract.stored(state) == {"nodes": {}, "bastions": []}
    contract.store(state, OUTPUTS)
    assert json.loads((state / contract.FILE).read_text()) == OUTPUTS
    assert os.listdir(state) == [contract.FILE]  # noqa: PTH208 - names alone
