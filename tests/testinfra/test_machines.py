"""What only a machine with a kernel of its own has: time, kernel parameters, disks. Containers skip it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millrace.paths import repo_root, state_dir
from millrace.providers import contract
from millrace.yamlio import load_yaml

if TYPE_CHECKING:
    from testinfra.host import Host

    from millrace.model.topology import Node
    from millrace.model.validation import Environment


@pytest.fixture(scope="module", autouse=True)
def _machine(environment: Environment) -> None:
    if environment.topology.provider == "lab":
        pytest.skip("the lab's nodes are containers, which share their host's kernel")


def test_the_clock_is_synchronised_by_a_daemon(host: Host) -> None:
    assert host.check_output("systemctl is-active systemd-timesyncd") == "active"


def test_all_kernel_parameters_of_role_base_hold(host: Host) -> None:
    wanted = load_yaml(repo_root() / "roles" / "base" / "defaults" / "main.yml")
    assert isinstance(wanted, dict)
    names = sorted(wanted["base_sysctl"])
    found = host.check_output(f"sysctl --values {' '.join(names)}").splitlines()
    assert dict(zip(names, map(int, found), strict=True)) == wanted["base_sysctl"]


def test_nothing_is_swapped(host: Host) -> None:
    assert host.check_output("swapon --show --noheadings") == ""


def test_the_root_file_system_has_the_size_of_its_disk(host: Host, node: Node) -> None:
    size = int(host.check_output("findmnt --noheadings --bytes --output SIZE /"))
    # Less what the file system needs for itself.
    assert 0.9 * (node.disk << 30) < size <= node.disk << 30


def test_data_disks_are_mounted_by_paths_that_stay(host: Host, node: Node, environment: Environment) -> None:
    devices = contract.stored(state_dir())["nodes"][node.name]["data"]
    assert sorted(devices) == sorted(node.data)
    table = host.check_output("cat /etc/fstab")
    for name, size in node.data.items():
        place = environment.catalogue.data[name]
        assert f"{devices[name]} {place.path} ext4" in " ".join(table.split())
        source, user = host.check_output(
            f"findmnt --noheadings --output SOURCE {place.path}; stat --format %U {place.path}"
        ).splitlines()
        assert host.check_output(f"readlink --canonicalize {devices[name]}") == source
        assert user == place.user
        assert (
            int(host.check_output(f"lsblk --noheadings --nodeps --bytes --output SIZE {source}"))
            == size << 30
        )
