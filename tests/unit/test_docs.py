"""What the documents tell people to write and to run is accepted by the code."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from millrace.model.applications import load_applications
from millrace.model.catalogue import parse_catalogue
from millrace.model.joined import join
from millrace.model.topology import parse_topology
from millrace.model.validation import check_together
from millrace.paths import repo_root
from millrace.yamlio import load_yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = repo_root()
DEFAULTS = sorted((ROOT / "ansible" / "defaults").glob("*.yml"))
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def example(document: str) -> dict[str, Any]:
    """Return the first YAML example of a document."""
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / document).read_text(encoding="utf-8"), re.DOTALL)
    assert block, f"{document} has no example"
    found: dict[str, Any] = yaml.safe_load(block.group(1))
    return found


def lab() -> Any:  # noqa: ANN401 - YAML
    """Return the lab's topology as the file has it."""
    return load_yaml(ROOT / "inventories" / "lab" / "topology.yml")


def with_nodes(topology: Any, nodes: dict[str, Any]) -> Any:  # noqa: ANN401 - YAML
    """Return a topology with these nodes, in place of those that somebody who followed the document added.

    An address that is another node's, or outside of a network that was changed, becomes the next free one.
    """
    kept = {name: node for name, node in topology["nodes"].items() if name not in nodes}
    network = ip_network(topology["network"]["cidr"])
    taken = {topology["network"]["gateway"], *(node["address"] for node in kept.values())}
    for name, node in nodes.items():
        address = node["address"]
        if address in taken or ip_address(address) not in network:
            address = next(str(host) for host in network.hosts() if str(host) not in taken)
        taken.add(address)
        kept[name] = {**node, "address": address}
    return {**topology, "nodes": kept}


def environment(topology: Any, services: dict[str, Any]) -> list[str]:  # noqa: ANN401 - YAML
    """Return what is wrong with a topology after these services were added to the catalogue."""
    catalogue: Any = join(load_yaml(ROOT / "ansible" / "catalogue.yml"), load_applications(ROOT / "services"))
    catalogue["services"] |= services
    return check_together(parse_topology(topology), parse_catalogue(catalogue))


def elsewhere() -> Any:  # noqa: ANN401 - YAML
    """Return the lab after its network was changed, as on a machine that has those addresses already."""
    topology = lab()
    network = ip_network("192.168.144.0/24")
    hosts = map(str, network.hosts())
    topology["network"] |= {"cidr": str(network), "gateway": next(hosts), "bridge": "other0"}
    topology["nodes"] = {name: {**node, "address": next(hosts)} for name, node in topology["nodes"].items()}
    return topology


@pytest.mark.parametrize("topology", [lab, elsewhere])
def test_the_node_of_adding_a_node_is_valid(topology: Callable[[], Any]) -> None:
    node = example("adding-a-node.md")
    before = topology()
    followed = with_nodes(before, node)
    assert environment(followed, {}) == []
    assert followed["nodes"].keys() == before["nodes"].keys() | node.keys()
    # Once more, by somebody who has followed the document already.
    assert environment(with_nodes(followed, node), {}) == []


def test_the_service_of_adding_a_service_is_valid() -> None:
    assert environment(lab(), example("adding-a-service.md")) == []


def test_a_wrong_example_would_be_noticed() -> None:
    service = example("adding-a-service.md")
    service["example"]["ports"]["http"]["port"] = 18080
    assert environment(lab(), service)


@pytest.mark.parametrize("path", DEFAULTS, ids=lambda path: path.name)
def test_what_comments_of_variables_refer_to_exists(path: Path) -> None:
    comments = re.findall(r"^# (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    for named in re.findall(r"\bsee ([^\s)]+?)[.,;:]?(?:[\s)]|$)", " ".join(comments)):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_and_files_that_a_document_names_exist(document: Any) -> None:  # noqa: ANN401 - a path
    text = document.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for application in load_applications(ROOT / "services").values():
        targets |= application.commands.keys()
    named = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )*make ([a-z][a-z-]+)", text, re.MULTILINE))
    assert named <= targets, named - targets
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (document.parent / link).exists(), link
