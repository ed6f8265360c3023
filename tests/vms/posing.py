"""A virtual machine is heard with its own addresses alone: what it sends with others is dropped."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import frames

if TYPE_CHECKING:
    from millrace.model.topology import Topology

# Nobody's: a filter that is missing must not cost a node its way to a real one.
NOBODYS_MAC = "02:00:00:00:00:07"


def try_it(topology: Topology, node: str) -> str:
    """Send frames with the operator's and with nobody's addresses; raise AssertionError if one arrives."""
    network, address = topology.network, topology.nodes[node].address
    if network is None or network.bridge is None or address is None:
        raise AssertionError(topology)
    gateway = str(network.gateway)
    device, own_mac = frames.interface(node, gateway)
    here = Path(f"/sys/class/net/{network.bridge}/address").read_text(encoding="ascii").strip()
    mark, last = secrets.token_bytes(16), secrets.token_bytes(16)
    nobodys = str(network.cidr[-2])
    own = (own_mac, here)
    lies = {
        "a datagram from the operator": frames.datagram(own, (gateway, gateway), mark + b"ip"),
        "a datagram with the MAC of nobody": frames.datagram(
            (NOBODYS_MAC, here), (address, gateway), mark + b"mac"
        ),
        "an ARP answer for nobody's address": frames.claim(own, (nobodys, gateway), mark + b"arp"),
    }
    # Sent after the others, so once it has arrived they would have, too.
    truth = frames.datagram(own, (address, gateway), mark + last)
    with frames.listening_here(network.bridge, mark, last) as heard:
        frames.send(node, device, [*lies.values(), truth])
        arrived = [bytes.fromhex(text) for text in json.load(heard)]
    if came := [what for what, frame in lies.items() if any(frame in one for one in arrived)]:
        message = f"{node} can pose as another; this arrived: {', '.join(came)}"
        raise AssertionError(message)
    return f"of {len(lies)} frames with other addresses than {node}'s own none arrived"
