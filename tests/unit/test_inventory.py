"""The inventory as Ansible itself makes it from an environment's topology."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace import paths
from millrace.model import secrets
from millrace.model.topology import load_topology

ROOT = paths.repo_root()
TOOL = Path(sys.executable).with_name("ansible-inventory")


def run(source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-inventory from the root of the clone, where ansible.cfg is."""
    return subprocess.run(  # noqa: S603 - our own tool environment, no shell
        [str(TOOL), "-i", str(source), *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "PATH": f"{TOOL.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "millrace"


def plain(found: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Take away the mark of texts that Ansible must not read as templates."""
    return found["__ansible_unsafe"] if found.keys() == {"__ansible_unsafe"} else found


def listing(source: Path) -> dict[str, Any]:
    done = run(source, "--list")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout, object_hook=plain)
    return found


@pytest.mark.parametrize("env", paths.environments())
def test_hosts_groups_and_variables(env: str, state: Path) -> None:
    secrets.ensure(env)
    found = listing(ROOT / "inventories" / env)
    hosts = found["_meta"]["hostvars"]
    some = next(iter(hosts.values()))
    assert hosts.keys() == some["millrace_nodes"].keys()
    for name, node in some["millrace_nodes"].items():
        own = hosts[name]
        assert node["fqdn"] == f"{name}.{own['millrace_domain']}"
        assert own["ansible_host"] == own["millrace_address"] == node["address"]
        assert own["ansible_user"] == "millrace"
        assert own["ansible_ssh_common_args"] == f"-F {state / env / 'ssh_config'}"
        assert own["millrace_environment"] == env
        assert own["millrace_state_dir"] == str(state / env)
        assert own["millrace_memory"] > 0
        assert own["millrace_cores"] > 0
        assert own["millrace_operator_sources"]
        assert all(name in found[group]["hosts"] for group in node["groups"])
    assert some["millrace_services"]["kafka"]["ports"]["client"]["port"] == 9092
    assert some["millrace_versions"]["maven"]["kafka"]
    vault = secrets.read_vault(state / env / "vault.yml", state / "vault-password")
    assert some["millrace_secrets"] == vault


def test_without_a_vault_there_are_no_secrets_and_the_file_works_as_the_folder_does(state: Path) -> None:
    found = listing(ROOT / "inventories" / "lab" / "topology.yml")
    assert found["_meta"]["hostvars"]["kafka-1"]["millrace_secrets"] == {}
    assert not state.exists()


def test_a_group_without_nodes_is_there_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    text = (ROOT / "inventories" / "lab" / "topology.yml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith("  ") or "timescaledb" in line]
    network = [line for line in text.splitlines() if line.startswith(("  cidr", "  gateway", "  bridge"))]
    place = kept.index("network:") + 1
    (folder / "topology.yml").write_text("\n".join([*kept[:place], *network, *kept[place:]]))
    found = listing(folder)
    assert list(found["_meta"]["hostvars"]) == ["db-1"]
    assert {"applications", "bastion", "kafka", "spark_drivers"} <= set(found["all"]["children"])


def test_a_faulty_topology_stops_ansible_with_every_problem(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    text = (folder / "topology.yml").read_text()
    one, other = load_topology(folder / "topology.yml").members("kafka")[:2]
    text = re.sub(rf"\b{re.escape(str(other.address))}\b", str(one.address), text)
    text = text.replace("[timescaledb]", "[timescale]")
    (folder / "topology.yml").write_text(text)
    done = run(folder, "--list")
    assert done.returncode != 0
    assert f"nodes.{other.name}.address: {one.address} already belongs to {one.name}" in done.stderr
    assert "nodes.db-1.groups: unknown group 'timescale'" in done.stderr


def test_more_copies_than_brokers_stop_ansible_before_it_contacts_a_node(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    text = (folder / "topology.yml").read_text()
    first, *others = [node.name for node in load_topology(folder / "topology.yml").members("kafka")]
    kept = [line for line in text.splitlines() if not line.strip().startswith(tuple(f"{n}:" for n in others))]
    (folder / "topology.yml").write_text("\n".join(kept) + "\n")
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "kafka.yml").write_text("kafka_replication_factor: 3\n")
    done = run(folder, "--list")
    assert done.returncode != 0
    told = " ".join(done.stderr.split())
    assert "kafka_replication_factor: 3 is more than the 1 brokers in the topology; use at most 1" in told
    (folder / "group_vars" / "kafka.yml").write_text("kafka_replication_factor: 1\n")
    assert listing(folder)["kafka"]["hosts"] == [first]


def test_a_vault_of_another_password_is_told(state: Path) -> None:
    secrets.ensure("lab")
    (state / "vault-password").write_text("another\n")
    done = run(ROOT / "inventories" / "lab", "--list")
    assert done.returncode != 0
    assert f"can't be read with the password in {state / 'vault-password'}" in " ".join(done.stderr.split())


def test_what_an_environment_sets_wins_over_every_default(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    shutil.copytree(ROOT / "inventories" / "lab", folder)
    (folder / "group_vars").mkdir(exist_ok=True)
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "ansible" / "defaults").glob("*.yml")]
    names = ["kafka_replication_factor", *(name for text in texts for name in yaml.safe_load(text))]
    assert len(names) > 30
    # Templates, whose type nobody knows before; the listing leaves them as they are.
    of_all, of_group = "{{ local_of_all }}", "{{ local_of_group }}"
    for group, value in (("all", of_all), ("kafka", of_group)):
        text = yaml.safe_dump(dict.fromkeys(names, value))
        (folder / "group_vars" / f"{group}.yml").write_text(text, encoding="utf-8")
    hosts = listing(folder)["_meta"]["hostvars"]
    for name in names:
        assert hosts["kafka-1"][name] == of_group, name
        assert hosts["db-1"][name] == of_all, name


def test_no_variable_stands_in_two_files_of_defaults() -> None:
    found = [
        name
        for path in (ROOT / "ansible" / "defaults").glob("*.yml")
        for name in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    assert len(found) == len(set(found))
    # Beside a playbook they would win over an environment's.
    assert not list((ROOT / "ansible" / "playbooks").rglob("group_vars"))
