"""Every node reaches exactly the ports that the catalogue opens to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import probe
import pytest

from millrace.access import remote
from millrace.model.catalogue import allowed_flows

if TYPE_CHECKING:
    from collections.abc import Iterator

# Prints for each "address port" line on standard input whether a packet came back: a connection or a refusal
# means that the firewall let it through, silence that it did not.
PROBE = """
import concurrent.futures, json, socket, sys

def reached(target):
    address, port = target.split()
    try:
        socket.create_connection((address, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    return True

targets = sys.stdin.read().splitlines()
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(reached, targets)))))
"""


def _ports() -> Iterator[int]:
    for service in probe.ENVIRONMENT.catalogue.services.values():
        for port in service.ports.values():
            yield from {port.first, port.last}


@pytest.mark.lab
@pytest.mark.parametrize("source", list(probe.ENVIRONMENT.topology.nodes))
def test_a_node_reaches_what_the_catalogue_says_and_nothing_else(source: str) -> None:
    nodes, topology = probe.ENVIRONMENT.topology.nodes, probe.ENVIRONMENT.topology
    expected: dict[str, bool] = {}
    for target in nodes.values():
        if target.name == source:
            continue
        flows = allowed_flows(nodes, probe.ENVIRONMENT.catalogue, target.name, topology.operator_sources)
        open_to_us = {flow.port for flow in flows if nodes[source].address in flow.sources}
        for port in _ports():
            expected[f"{target.address} {port}"] = any(_within(port, opened) for opened in open_to_us)
    answer = remote.run(source, ["python3", "-c", PROBE], stdin="\n".join(expected))
    reached: dict[str, bool] = json.loads(answer)
    assert {target: reached[target] for target in expected} == expected


def _within(port: int, opened: str) -> bool:
    first, _, last = opened.partition("-")
    return int(first) <= port <= int(last or first)
