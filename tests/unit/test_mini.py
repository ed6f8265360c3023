"""The environment mini fits a machine with 8 GiB, beside the lab, and its copies follow its few nodes."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from millrace import paths
from millrace.model.neighbours import Place, conflicts
from millrace.model.topology import load_topology
from millrace.model.validation import named_environment, problems_of

if TYPE_CHECKING:
    from pathlib import Path

    from millrace.model.topology import Topology

ROOT = paths.repo_root()


def variables(folder: Path, tmp_path: Path) -> dict[str, Any]:
    """Return the variables of mini's node for Spark, as Ansible computes them."""
    done = subprocess.run(  # noqa: S603 - our own argv
        [ROOT / ".venv/bin/ansible-inventory", "-i", folder, "--host", "spark-1"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def place(topology: Topology) -> Place:
    network = topology.network
    assert network is not None
    assert network.bridge is not None
    return Place(network.bridge, network.cidr)


def test_it_is_valid_and_small_and_beside_the_lab() -> None:
    mini, lab = (load_topology(ROOT / "inventories" / env / "topology.yml") for env in ("mini", "lab"))
    # What a machine of 8 GiB has for the nodes when its kernel and its operator's programs have theirs.
    assert mini.memory <= 7 * 1024
    assert mini.disposable
    assert conflicts(place(mini), {"lab": place(lab)}) == []
    problems = [line for line in problems_of("mini") if "this machine has" not in line]
    assert problems == []


def test_every_service_of_the_lab_runs_on_it() -> None:
    mini, lab = named_environment("mini"), named_environment("lab")
    assert mini.catalogue.services.keys() == lab.catalogue.services.keys()


def test_copies_follow_its_nodes_and_its_own_settings_win(tmp_path: Path) -> None:
    found = variables(ROOT / "inventories" / "mini", tmp_path)
    wanted = {"kafka_replication_factor": 1, "hdfs_replication": 1, "spark_expected_workers": 1}
    assert {key: found[key] for key in wanted} == wanted
    memory = int(found["spark_worker_memory"].removesuffix("m"))
    # Executors of all slots fit what the worker offers, and the node has room for them.
    assert found["spark_worker_cores"] * 512 <= memory <= found["millrace_memory"]


def test_a_setting_of_the_environment_beats_what_follows_from_the_topology(tmp_path: Path) -> None:
    folder = tmp_path / "mini"
    (folder / "group_vars").mkdir(parents=True)
    text = (ROOT / "inventories" / "mini" / "topology.yml").read_text(encoding="utf-8")
    (folder / "topology.yml").write_text(text, encoding="utf-8")
    (folder / "group_vars" / "all.yml").write_text(
        "spark_expected_workers: 0\nspark_worker_cores: 6\n", encoding="utf-8"
    )
    found = variables(folder, tmp_path)
    assert (found["spark_expected_workers"], found["hdfs_replication"]) == (0, 1)
