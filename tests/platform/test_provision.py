"""`make provision` makes real containers what the topology says, and `make destroy` removes them.

On an environment beside the lab with two tiny nodes, `one` and `two`. Each test finds both there and leaves
both there, but for the last, which removes everything.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import probe
import pytest
import shell
import throwaway

from millrace import paths
from millrace.providers.lab import daemon, image, incus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from throwaway import Container, Throwaway

pytestmark = [pytest.mark.lab, pytest.mark.apart]

ALL_THERE = f"2 nodes of {throwaway.NAME} were already as the topology says; nothing changed"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    throwaway.clear()
    try:
        made = throwaway.Throwaway(tmp_path_factory.mktemp("provision"))
        made.nodes = {"one": throwaway.MEMORY, "two": throwaway.MEMORY}
        made.provision()
        yield made
    finally:
        throwaway.clear()


def _containers() -> dict[str, Container]:
    return throwaway.containers(throwaway.PROJECT)


def _planned(said: str) -> set[tuple[str, str]]:
    """Return what Terraform was to do, as (action, node)."""
    words = [line.split() for line in said.splitlines() if "module.node[" in line]
    return {(action, address.split('"')[1]) for action, address in words}


def test_nodes_are_reached_over_ssh_and_an_impostor_is_refused(own: Throwaway, tmp_path: Path) -> None:
    assert [own.ssh(node, "hostname") for node in ("one", "two")] == ["one", "two"]
    keys = own.host_keys()
    assert keys["one"] != keys["two"]
    # Whoever answers for `one` has another key than it is known by.
    known = tmp_path / "known_hosts"
    recorded = (own.state / "known_hosts").read_text(encoding="utf-8")
    known.write_text(recorded.replace(keys["one"], keys["two"]), encoding="utf-8")
    options = ["-F", str(own.state / "ssh_config"), "-o", f"UserKnownHostsFile={known}"]
    tried = subprocess.run(  # noqa: S603 - an argv of ours
        ["ssh", *options, "-o", "BatchMode=yes", "one", "hostname"],  # noqa: S607 - the operator's ssh
        capture_output=True,
        text=True,
        check=False,
        timeout=probe.PATIENCE,
    )
    assert (tried.returncode, tried.stdout) == (255, "")
    assert "Host key verification failed" in tried.stderr


def test_a_second_run_changes_nothing(own: Throwaway) -> None:
    before, state = _containers(), (own.state / "terraform/terraform.tfstate").read_bytes()
    said = own.provision()
    assert "this machine was ready already; nothing changed" in said
    assert ALL_THERE in said
    assert _planned(said) == set()
    assert _containers() == before
    assert (own.state / "terraform/terraform.tfstate").read_bytes() == state


def test_a_wrong_node_is_one_line_that_lists_the_right_ones(own: Throwaway) -> None:
    tried = own.make("ssh", "NODE=three")
    assert tried.returncode != 0
    assert tried.stdout == ""
    (line,) = shell.said(tried.stderr)
    assert line == "millrace ssh: no node 'three'; NODE is one of: one, two"


def test_a_node_is_removed_and_added_alone(own: Throwaway) -> None:
    before = _containers()
    memory = own.nodes.pop("two")
    assert _planned(own.provision()) == {("delete", "two")}
    assert _containers() == {"one": before["one"]}
    assert own.host_keys().keys() == {"one"}

    own.nodes["two"] = memory
    assert _planned(own.provision()) == {("create", "two")}
    after = _containers()
    assert after.keys() == {"one", "two"}
    assert after["one"] == before["one"]
    assert own.ssh("two", "hostname") == "two"


def test_a_changed_limit_is_applied_to_its_running_node_alone(own: Throwaway) -> None:
    before = _containers()
    own.nodes["one"] += 64
    assert _planned(own.provision()) == {("replace", "one")}
    assert int(own.ssh("one", throwaway.LIMIT)) == own.nodes["one"] * 2**20
    after = _containers()
    assert after["two"] == before["two"]
    assert (after["one"].created, after["one"].process) == (before["one"].created, before["one"].process)
    assert after["one"].config["limits.memory"] == f"{own.nodes['one']}MiB"


def test_a_stopped_node_is_started_and_a_deleted_one_is_made_again(own: Throwaway) -> None:
    before, key = _containers(), own.host_keys()["two"]
    # As of an image that had other settings of the network, here none.
    own.ssh("one", f"sudo truncate --size=0 {image.NETWORK_FILE}")
    incus.incus("stop", "--force", "--project", throwaway.PROJECT, "one")
    incus.incus("delete", "--force", "--project", throwaway.PROJECT, "two")
    said = own.provision()
    assert "starting one\n" in said
    assert "two is gone behind Terraform's back" in said
    assert _planned(said) == {("create", "two")}
    after = _containers()
    assert after.keys() == {"one", "two"}
    assert after["one"].created == before["one"].created
    assert after["two"].created != before["two"].created
    # It has another host key, which is the one that counts now.
    assert own.host_keys()["two"] != key
    assert [own.ssh(node, "hostname") for node in ("one", "two")] == ["one", "two"]
    assert own.ssh("one", "ip -6 -brief address show dev eth0") == ""
    # Nothing of the boot waits for an address that does not come.
    configured = "networkctl status eth0 | grep -c .configured. || true"
    probe.wait_until("the network of one to be configured", lambda: own.ssh("one", configured) == "1")


def test_destroy_leaves_nothing_of_the_environment_and_all_of_the_lab(own: Throwaway) -> None:
    lab = incus.project_name(paths.environment())
    others = throwaway.containers(lab)
    assert others, "without a lab beside it, this would take the storage pool and the daemon down"
    profile, served_by = incus.query("/1.0/profiles/default"), daemon.identity()
    assert len(throwaway.processes()) == 3, "the bridge's name server, and a monitor for each container"

    refused = own.make("destroy", "PURGE=", yes="")
    assert refused.returncode != 0
    assert "the nodes one, two with all their data" in refused.stdout
    assert shell.said(refused.stderr) == ["millrace destroy: nothing was removed"]
    assert _containers().keys() == {"one", "two"}

    own.made("destroy", "PURGE=")
    assert f"/1.0/projects/{throwaway.PROJECT}" not in incus.query("/1.0/projects")
    assert not Path("/sys/class/net", throwaway.BRIDGE).exists()
    assert daemon.network(throwaway.BRIDGE) is None
    probe.wait_until("the environment's processes to end", lambda: not throwaway.processes())
    assert {path.name for path in own.state.iterdir()} == {"owner-id", "ssh_key", "ssh_key.pub"}
    own.made("destroy", "PURGE=1")
    assert not own.state.exists()

    assert daemon.identity() == served_by
    assert throwaway.containers(lab) == others
    assert incus.query("/1.0/profiles/default") == profile
