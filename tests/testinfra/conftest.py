"""Each test that takes ``host`` runs on every node, over SSH with the environment's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import testinfra

from millrace.model.current import current_environment
from millrace.paths import state_dir

if TYPE_CHECKING:
    from testinfra.host import Host

    from millrace.model.catalogue import Service
    from millrace.model.topology import Node
    from millrace.model.validation import Environment

ENVIRONMENT = current_environment()


@pytest.fixture(scope="session")
def environment() -> Environment:
    return ENVIRONMENT


@pytest.fixture(scope="session", params=ENVIRONMENT.topology.nodes.values(), ids=lambda node: node.name)
def node(request: pytest.FixtureRequest) -> Node:
    chosen: Node = request.param
    return chosen


@pytest.fixture(scope="session")
def host(node: Node) -> Host:
    return testinfra.get_host(
        f"ssh://{node.name}", ssh_config=str(state_dir() / "ssh_config"), sudo=True, controlpersist=60
    )


@pytest.fixture(scope="session")
def services(node: Node) -> list[Service]:
    return [one for one in ENVIRONMENT.catalogue.services.values() if one.runs_on(node.groups)]
