"""Virtual machines of libvirt: its pure parts, and what is left of an apply that did not end well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import one_tier
import pytest
import yaml

from millrace.console import CommandError, MillraceError
from millrace.model.topology import load_topology, parse_topology
from millrace.paths import repo_root
from millrace.providers import data_disks, terraform
from millrace.providers.libvirt import image, leftovers, nodes, virsh
from millrace.providers.libvirt.image import Image
from millrace.providers.libvirt.leftovers import Things
from millrace.providers.libvirt.virsh import Domain

NAME = "millrace-x"
WITH_KVM = """\
  QEMU: Checking for hardware virtualization                                 : PASS
  QEMU: Checking if device /dev/kvm exists                                   : PASS
  QEMU: Checking if device /dev/kvm is accessible                            : PASS
  QEMU: Checking if device /dev/vhost-net exists                             : WARN (Load the module)
"""
WITHOUT = """\
  QEMU: Checking for hardware virtualization                                 : FAIL (Host not compatible)
  QEMU: Checking if device /dev/net/tun exists                               : PASS
"""


@pytest.mark.parametrize(
    ("said", "there"),
    [
        (WITH_KVM, True),
        (WITHOUT, False),
        (
            WITH_KVM.replace("accessible                            : PASS", "accessible : FAIL (Check)"),
            False,
        ),
        ("", False),
    ],
)
def test_hardware_virtualisation_is_what_libvirt_itself_says(said: str, there: bool) -> None:  # noqa: FBT001 - a parameter
    assert virsh.hardware_virtualisation(said) is there


def test_nodes_are_sorted_by_what_they_need() -> None:
    domains = [
        Domain("millrace-x-a", "running", "me"),
        Domain("millrace-x-b", "shut off", "me"),
        Domain("millrace-x-c", "paused", "me"),
        Domain("millrace-x-d", "running", "you"),
        Domain("millrace-x-old", "running", "me"),
    ]
    found = nodes.sort("x", ["a", "b", "c", "d", "e"], domains, "me")
    assert found == nodes.Nodes(missing=["e"], foreign=["d"], stopped=["b"], paused=["c"])


def resource(kind: str, name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a resource as `terraform show -json` has it."""
    return {"mode": "managed", "type": kind, "name": "this", "values": {"name": name}, **more}


STATE = {
    "resources": [resource("libvirt_network", NAME), resource("libvirt_pool", NAME)],
    "child_modules": [
        {
            "resources": [
                resource("libvirt_volume", "root-a"),
                resource("libvirt_cloudinit_disk", "cloud-init-a.iso"),
                resource("libvirt_domain", "millrace-x-a"),
                {"mode": "data", "type": "libvirt_domain", "values": {"name": "another"}},
            ]
        }
    ],
}
KNOWN = Things(
    domains=("millrace-x-a",), volumes=("cloud-init-a.iso", "root-a"), pools=(NAME,), networks=(NAME,)
)


def test_the_state_knows_what_modules_made() -> None:
    assert leftovers.in_state(terraform.resources_of(STATE)) == KNOWN


def test_what_an_unfinished_apply_made_is_its_leftovers(tmp_path: Path) -> None:
    note = tmp_path / "note"
    now = Things(
        ("millrace-x-a", "millrace-x-b"),
        ("cloud-init-a.iso", "data-b-kafka", "root-a", "root-b"),
        (NAME,),
        (NAME,),
    )
    assert leftovers.unfinished(note, now, KNOWN) == Things()
    leftovers.remember(note, Things(volumes=("data-b-kafka",)))
    # The second run, which fails too, found the leftovers of the first: they are still nobody's.
    leftovers.remember(note, now)
    assert leftovers.unfinished(note, now, KNOWN) == Things(domains=("millrace-x-b",), volumes=("root-b",))


def test_a_neighbour_whose_name_begins_alike_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    domains = [
        Domain("millrace-x-a", "running", "me"),
        Domain("millrace-x-mini-a", "running", "you"),  # the node a of the environment x-mini
        Domain("millrace-x-b", "running", ""),
    ]
    for name, result in (("domains", domains), ("pools", ["millrace-x-mini"]), ("networks", {})):
        monkeypatch.setattr(virsh, name, lambda *_, result=result: result)
    assert leftovers.in_libvirt(NAME, "me") == Things(domains=("millrace-x-a",))
    assert leftovers.in_libvirt(NAME, "") == Things()


def test_what_this_state_did_not_make_is_refused_with_what_removes_it() -> None:
    (head, pool, network) = leftovers.refusals(Things(pools=(NAME,), networks=(NAME,)), NAME)
    assert "restore it (XDG_STATE_HOME)" in head
    virsh_there = "virsh -c qemu:///system"
    assert f"storage pool {NAME} that this state did not make; `{virsh_there} pool-destroy {NAME}`" in pool
    assert f"`{virsh_there} net-destroy {NAME}` and `{virsh_there} net-undefine {NAME}` removes it" in network
    assert leftovers.refusals(Things(), NAME) == []


def test_existing_data_disks_come_from_the_state_in_gib() -> None:
    volume = resource("libvirt_volume", "data-a-kafka", index="a/kafka")
    volume |= {"name": "data", "values": {"name": "data-a-kafka", "size": 8 << 30}}
    assert nodes.existing_data([volume, resource("libvirt_volume", "root-a")]) == {"a/kafka": 8}


@pytest.mark.parametrize("tier", ["kafka", "timescaledb"])
def test_one_tier_of_libvirt_mini_is_a_topology(tier: str) -> None:
    source = repo_root() / "inventories" / one_tier.SOURCE / "topology.yml"
    topology = parse_topology(one_tier.one_tier(yaml.safe_load(source.read_text(encoding="utf-8")), tier))
    assert [node.groups for node in topology.nodes.values()] == [(tier,)]
    assert all(node.data and node.disposable for node in topology.nodes.values())


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> terraform.Terraform:
    """Return a Terraform whose state has two nodes; plans are kept and find nothing to do."""
    addresses = ['module.node["a"].libvirt_domain.this', 'module.node["ab"].libvirt_domain.this']
    made = terraform.Terraform("terraform", tmp_path, tmp_path)
    monkeypatch.setattr(terraform.Terraform, "nodes", lambda _: {"a", "ab"})
    monkeypatch.setattr(terraform.Terraform, "resources", lambda _: [{"address": one} for one in addresses])
    monkeypatch.setattr(
        terraform.Terraform, "call", lambda self, *words: (self.home / "said").write_text(str(words))
    )
    return made


def test_a_node_is_made_anew_by_its_name_alone(
    tool: terraform.Terraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REBUILD", "a")
    assert tool.plan() is None
    said = (tool.home / "said").read_text(encoding="utf-8")
    assert said.count("-replace=") == 1
    assert '-replace=module.node["a"].libvirt_domain.this' in said
    monkeypatch.setenv("REBUILD", "c")
    with pytest.raises(MillraceError, match="REBUILD: there is no node c; there are: a, ab"):
        tool.plan()


def test_what_libvirt_no_longer_has_is_named_by_its_address() -> None:
    resources = [
        resource("libvirt_domain", "millrace-x-a", address="a"),
        resource("libvirt_pool", NAME, address="p"),
    ]
    assert leftovers.vanished(resources, KNOWN) == []
    assert leftovers.vanished(resources, Things(pools=(NAME,))) == ["a"]
    assert leftovers.vanished([{"type": "terraform_data", "values": {}}], Things()) == []


def test_the_provider_is_not_asked_to_look_by_itself(
    tool: terraform.Terraform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REBUILD", raising=False)
    assert tool.plan() is None
    assert "-refresh=false" not in (tool.home / "said").read_text(encoding="utf-8")
    assert replace(tool, refreshes=False).plan() is None
    assert "-refresh=false" in (tool.home / "said").read_text(encoding="utf-8")


def test_where_nothing_was_made_terraform_is_not_asked_to_destroy(
    tool: terraform.Terraform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    topology = load_topology(repo_root() / "inventories" / "libvirt-mini" / "topology.yml")
    asked: list[str] = []
    monkeypatch.setattr(terraform, "for_environment", lambda *_, **__: tool)
    monkeypatch.setattr(terraform.Terraform, "init", lambda _: None)
    monkeypatch.setattr(terraform.Terraform, "destroy", lambda *_: asked.append("destroy"))
    monkeypatch.setattr(leftovers, "in_libvirt", lambda *_: Things())
    monkeypatch.setattr(virsh, "domains", lambda _: [])
    monkeypatch.setattr(terraform.Terraform, "resources", lambda _: [])
    nodes.destroy(topology, tmp_path)
    assert asked == []
    volume = resource("libvirt_volume", "data-db-1-postgresql", index="db-1/postgresql", address="v")
    volume |= {"name": "data", "values": {"name": "data-db-1-postgresql", "size": 8 << 30}}
    monkeypatch.setattr(terraform.Terraform, "resources", lambda _: [volume])
    monkeypatch.setattr(leftovers, "in_libvirt", lambda *_: Things(volumes=("data-db-1-postgresql",)))
    nodes.destroy(topology, tmp_path)
    assert asked == ["destroy"]


def test_an_environment_keeps_the_image_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Image(Path("new/root.img"), Path("new/vmlinuz"), Path("new/initrd.img"))
    monkeypatch.setattr(image, "ensure", lambda: made)
    before = {"image": "old/root.img", "boot": {"kernel": "old/vmlinuz"}, "owner": "me"}
    volumes = [{"type": "libvirt_volume", "name": name} for name in ("image", "boot", "data")]
    assert nodes.image_given(volumes, before) == {"image": "old/root.img", "boot": {"kernel": "old/vmlinuz"}}
    # An apply that was killed before it made them, and one that wrote no variables.
    for resources, known in ((volumes[:1], before), ([], before), (volumes, {})):
        given = nodes.image_given(resources, known)
        assert (given["image"], given["boot"]["kernel"]) == ("new/root.img", "new/vmlinuz")


def test_a_state_of_another_provider_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "schema version 9 for libvirt_pool.this in state does not match version 0 from the provider"

    def show(_: terraform.Terraform, *words: str) -> str:
        raise CommandError(words, 1, said)

    monkeypatch.setattr(terraform.Terraform, "call", show)
    (tmp_path / "terraform.tfstate").touch()
    root = repo_root() / "terraform" / "providers" / "libvirt"
    one = terraform.Terraform("terraform", root, tmp_path)
    with pytest.raises(MillraceError, match=r"another version than dmacvicar/libvirt [\d.]+, .*\.backup"):
        one.resources()
    said = "something else"
    with pytest.raises(CommandError, match="something else"):
        one.resources()


def test_another_owners_machine_of_our_name_is_refused_before_anything_is_removed(
    tool: terraform.Terraform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    topology = load_topology(repo_root() / "inventories" / "libvirt-mini" / "topology.yml")
    name = nodes.domain(topology.environment, next(iter(topology.nodes)))
    monkeypatch.setattr(virsh, "domains", lambda _: [Domain(name, "running", "you")])
    monkeypatch.setattr(leftovers, "remove", lambda *_: pytest.fail("removed"))
    (tmp_path / "owner-id").write_text("me\n", encoding="utf-8")
    with pytest.raises(MillraceError, match=f"{name} belong to another owner"):
        nodes.reconcile(topology, tmp_path, tool)


def test_a_data_disk_that_there_is_not_cannot_be_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "db-1/postgres")
    with pytest.raises(MillraceError, match=r"no data disk db-1/postgres; there are: db-1/postgresql"):
        data_disks.checked({"db-1/postgresql": 8})
    monkeypatch.setenv("DATA", "db-1/postgresql")
    assert data_disks.checked({"db-1/postgresql": 8}) == {"db-1/postgresql": 8}


def test_while_another_one_is_at_work_its_end_is_to_be_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(words: list[str], **_: object) -> str:
        raise CommandError(words, 1, "Error: Error acquiring the state lock\n… -lock=false …")

    monkeypatch.setattr(terraform, "run", locked)
    with pytest.raises(MillraceError, match=r"at work \(.* is locked\); wait until it has ended"):
        terraform.Terraform("terraform", tmp_path, tmp_path).call("plan")


def test_machines_beyond_the_hosts_memory_are_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topology = load_topology(repo_root() / "inventories" / "libvirt" / "topology.yml")
    monkeypatch.setattr(nodes, "machine_memory", lambda: topology.memory - 1)
    monkeypatch.setattr(terraform, "for_environment", lambda *_, **__: pytest.fail("it was applied"))
    with pytest.raises(MillraceError, match="their memory adds up to"):
        nodes.apply(topology, tmp_path)


def test_a_pool_that_is_being_filled_or_is_not_active_can_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "error: internal error: pool 'millrace-x' has asynchronous jobs running."

    def answer(*words: str) -> str:
        if words[0] == "pool-refresh":
            raise CommandError(words, 1, said)
        return {"pool-list": "millrace-x\n", "vol-list": " image-1   /a/image-1\n"}[words[0]]

    monkeypatch.setattr(virsh, "virsh", answer)
    assert virsh.volumes("millrace-x") == ["image-1"]
    assert virsh.volumes("millrace-y") == []
    done: list[str] = []
    monkeypatch.setattr(virsh, "pools", lambda: ["millrace-x", "millrace-y"])
    monkeypatch.setattr(virsh, "active_pools", lambda: ["millrace-x"])
    monkeypatch.setattr(virsh, "virsh", lambda *words: done.append(" ".join(words)))
    for pool in ("millrace-x", "millrace-y", "millrace-z"):
        virsh.start_pool(pool)
    assert done == ["pool-start millrace-y"]
    monkeypatch.setattr(virsh, "virsh", answer)
    said = "error: Failed to open the directory"
    with pytest.raises(CommandError, match="Failed to open"):
        virsh.volumes("millrace-x")
