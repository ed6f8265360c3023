"""Data disks from the topology to role disks: their names, where they are mounted, and whose they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from millrace import paths
from millrace.model.catalogue import DataPlace, load_catalogue, parse_catalogue
from millrace.model.validation import check_together, load_environment
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()
CATALOGUE = load_catalogue(ROOT / "ansible" / "catalogue.yml")


def test_the_catalogue_says_where_disks_are_mounted() -> None:
    assert CATALOGUE.data["postgresql"] == DataPlace("/var/lib/postgresql", "postgres", ("timescaledb",))


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (
            {"path": "var/lib/x", "user": "x", "groups": ["x"]},
            "data.x.path: must begin with a slash, not 'var/lib/x'",
        ),
        ({"path": "/var/lib/x", "groups": ["x"]}, "data.x.user: is missing"),
        ({"path": "/var/lib/x", "user": "x"}, "data.x.groups: is missing"),
        ({"path": "/var/lib/x", "user": "x", "groups": ["x"], "mode": 7}, "data.x.mode: unknown key"),
    ],
)
def test_a_wrong_place_is_refused_in_one_line(place: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        parse_catalogue({"services": {}, "data": {"x": place}})
    (line,) = told.value.problems
    assert line.startswith(problem)


def test_a_disk_that_no_service_keeps_data_on_is_refused() -> None:
    environment = load_environment(ROOT / "inventories" / "libvirt-mini" / "topology.yml")
    topology, catalogue = environment.topology, environment.catalogue
    node = topology.nodes["db-1"]
    assert check_together(topology, catalogue) == []
    wrong = replace(topology, nodes={**topology.nodes, "db-1": replace(node, data={"postgres": 8})})
    (problem,) = check_together(wrong, catalogue)
    assert problem.startswith("nodes.db-1.data.postgres: no service has such a disk")
    assert problem.endswith("known: hdfs, kafka, postgresql")
    wrong = replace(topology, nodes={**topology.nodes, "db-1": replace(node, data={"kafka": 8})})
    assert check_together(wrong, catalogue) == [
        "nodes.db-1.data.kafka: nothing here keeps it, but a node of kafka"
    ]


def mounts(env: str, host: str) -> list[dict[str, str]]:
    """Return what role disks gets on a node of an environment."""
    inventory = InventoryManager(loader=DataLoader(), sources=[str(ROOT / "inventories" / env)])
    found: list[dict[str, str]] = inventory.get_host(host).get_vars()["millrace_data"]
    return found


def test_a_disk_that_is_not_there_yet_has_a_device_that_the_role_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (mount,) = mounts("libvirt-mini", "kafka-1")
    assert mount == {
        "name": "kafka",
        "device": "/dev/disk/by-id/not-provisioned",
        "path": "/var/lib/kafka",
        "user": "kafka",
    }
    assert mounts("lab", "kafka-1") == []


def test_the_device_is_what_terraform_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = "/dev/disk/by-id/wwn-0x5000000000000001"
    node = {"address": "10.81.0.11", "public": None, "data": {"kafka": device}}
    state = tmp_path / "millrace" / "libvirt-mini"
    state.mkdir(parents=True)
    outputs = {"nodes": {"kafka-1": node}, "bastions": []}
    (state / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (mount,) = mounts("libvirt-mini", "kafka-1")
    assert mount["device"] == device


def test_a_missing_disk_stops_neither_the_boot_nor_hides_from_the_service() -> None:
    tasks = yaml.safe_load((ROOT / "roles" / "disks" / "tasks" / "configure.yml").read_text(encoding="utf-8"))
    mount = next(task["ansible.posix.mount"] for task in tasks if "ansible.posix.mount" in task)
    assert {"nofail", "x-systemd.device-timeout=15min"} <= set(mount["opts"].split(","))
    unit = (ROOT / "roles" / "jvm_app" / "templates" / "service.j2").read_text(encoding="utf-8")
    assert "RequiresMountsFor={{ jvm_app_data_dir }}" in unit
