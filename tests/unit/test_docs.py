"""What the documents tell people to write and to run is accepted by the code."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from millrace.catalogue import parse_catalogue
from millrace.paths import repo_root
from millrace.topology import parse_topology
from millrace.validation import check_together
from millrace.yamlio import load_yaml

ROOT = repo_root()
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def example(document: str) -> dict[str, Any]:
    """Return the first YAML example of a document."""
    block = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / document).read_text(encoding="utf-8"), re.DOTALL)
    assert block, f"{document} has no example"
    found: dict[str, Any] = yaml.safe_load(block.group(1))
    return found


def environment(nodes: dict[str, Any], services: dict[str, Any]) -> list[str]:
    """Return what is wrong with the lab after these nodes and services were added."""
    topology: Any = load_yaml(ROOT / "inventories" / "lab" / "topology.yml")
    catalogue: Any = load_yaml(ROOT / "ansible" / "catalogue.yml")
    assert not nodes.keys() & topology["nodes"].keys()
    assert not services.keys() & catalogue["services"].keys()
    topology["nodes"] |= nodes
    catalogue["services"] |= services
    return check_together(parse_topology(topology), parse_catalogue(catalogue))


def test_the_node_of_adding_a_node_is_valid() -> None:
    assert environment(example("adding-a-node.md"), {}) == []


def test_the_service_of_adding_a_service_is_valid() -> None:
    assert environment({}, example("adding-a-service.md")) == []


def test_a_wrong_example_would_be_noticed() -> None:
    service = example("adding-a-service.md")
    service["example"]["group"] = "nowhere"
    assert environment({}, service)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_and_files_that_a_document_names_exist(document: Any) -> None:  # noqa: ANN401 - a path
    text = document.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )*make ([a-z][a-z-]+)", text, re.MULTILINE))
    assert named <= targets, named - targets
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (document.parent / link).exists(), link
