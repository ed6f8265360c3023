"""A node is heard with its own addresses alone: what it sends with others never arrives."""

from __future__ import annotations

import ipaddress
import json
import secrets

import frames
import probe
import pytest

NODES = [node for node in probe.ENVIRONMENT.topology.nodes.values() if node.address]
# Nobody's: a filter that is missing must not cost a node its way to a real one.
NOBODYS_MAC = "02:00:00:00:00:07"


def _nobodys_address() -> str:
    network = probe.ENVIRONMENT.topology.network
    assert network is not None
    taken = {node.address for node in NODES}
    return next(text for text in map(str, reversed(list(network.cidr.hosts()))) if text not in taken)


@pytest.mark.lab
@pytest.mark.skipif(len(NODES) < 3, reason="a liar, one to hear it and one to be posed as")
def test_a_node_cannot_pose_as_another() -> None:
    liar, hearer, third = NODES[:3]
    device, own_mac = frames.interface(liar.name, str(hearer.address))
    ear, hearers_mac = frames.interface(hearer.name, str(liar.address))
    mark, last = secrets.token_bytes(16), secrets.token_bytes(16)
    own, to = (own_mac, hearers_mac), str(hearer.address)
    operators = [str(ipaddress.ip_network(one)[0]) for one in probe.ENVIRONMENT.topology.operator_sources]
    lies = {
        f"a datagram from {pretended}": frames.datagram(own, (pretended, to), mark + bytes([number]))
        for number, pretended in enumerate([*operators, str(third.address)])
    }
    lies["a datagram with the MAC of nobody"] = frames.datagram(
        (NOBODYS_MAC, hearers_mac), (str(liar.address), to), mark + b"mac"
    )
    lies["an ARP answer for nobody's address"] = frames.claim(own, (_nobodys_address(), to), mark + b"arp")
    # Sent after the others, so once it has arrived they would have, too.
    truth = frames.datagram(own, (str(liar.address), to), mark + last)
    with frames.listening(hearer.name, ear, mark, last) as heard:
        frames.send(liar.name, device, [*lies.values(), truth])
        arrived = [bytes.fromhex(text) for text in json.load(heard)]
    assert [what for what, frame in lies.items() if any(frame in one for one in arrived)] == []
    assert [one for one in arrived if truth in one]
