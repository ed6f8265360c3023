"""Ethernet frames with addresses of the test's choice: made here, sent from one node, heard on another."""

from __future__ import annotations

import ipaddress
import json
import struct
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from millrace.access import remote
from millrace.machine import sudo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

_IPV4, _ARP = 0x0800, 0x0806
_UDP = 17
# The port that throws away what it gets; nothing has to listen for a frame to arrive.
_DISCARD = 9
# All three run as root on a node: frames as they are need it.
WHERE = """
import json, subprocess, sys
route = json.loads(subprocess.check_output(["ip", "-json", "route", "get", sys.argv[1]]))[0]
assert "gateway" not in route, route
print(json.dumps([route["dev"], open(f"/sys/class/net/{route['dev']}/address").read().strip()]))
"""
SEND = """
import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
for line in sys.stdin:
    out.send(bytes.fromhex(line))
"""
# Says that it listens, then what it heard of the marked frames, up to the one that is marked as the last.
LISTEN = """
import json, socket, sys
mark, last = (bytes.fromhex(word) for word in sys.argv[2:])
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
heard.bind((sys.argv[1], 0))
heard.settimeout(60)
print("listening", flush=True)
frames = []
while not any(last in frame for frame in frames):
    frame, origin = heard.recvfrom(65535)
    if mark in frame and origin[2] != socket.PACKET_OUTGOING:
        frames.append(frame)
print(json.dumps([frame.hex() for frame in frames]))
"""


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _ip(text: str) -> bytes:
    return ipaddress.IPv4Address(text).packed


def checksum(data: bytes) -> int:
    """Return the internet checksum of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(macs: tuple[str, str], addresses: tuple[str, str], payload: bytes) -> bytes:
    """Return the frame of a UDP datagram; `macs` and `addresses` are source and destination."""
    udp = struct.pack("!4H", 40_000, _DISCARD, 8 + len(payload), 0) + payload
    source, target = map(_ip, addresses)
    parts = (0x45, 0, 20 + len(udp), 0, 0, 64, _UDP)
    unsummed = struct.pack("!BBHHHBBH4s4s", *parts, 0, source, target)
    header = struct.pack("!BBHHHBBH4s4s", *parts, checksum(unsummed), source, target)
    return _mac(macs[1]) + _mac(macs[0]) + struct.pack("!H", _IPV4) + header + udp


def claim(macs: tuple[str, str], addresses: tuple[str, str], payload: bytes) -> bytes:
    """Return an ARP answer: "the first address is at the first MAC"; it is padded with `payload`."""
    body = struct.pack("!HHBBH", 1, _IPV4, 6, 4, 2)
    body += _mac(macs[0]) + _ip(addresses[0]) + _mac(macs[1]) + _ip(addresses[1])
    return _mac(macs[1]) + _mac(macs[0]) + struct.pack("!H", _ARP) + body + payload


def _as_root(script: str, *words: str) -> list[str]:
    return ["sudo", "-n", "python3", "-c", script, *words]


def interface(node: str, towards: str) -> tuple[str, str]:
    """Return the name and MAC of the interface by which a node reaches an address of its own network."""
    name, mac = json.loads(remote.run(node, _as_root(WHERE, towards)))
    return name, mac


def send(node: str, interface: str, frames: Sequence[bytes]) -> None:
    """Send frames as they are from a node's interface, in order."""
    remote.run(node, _as_root(SEND, interface), stdin="".join(f"{frame.hex()}\n" for frame in frames))


@contextmanager
def _listening(command: list[str]) -> Iterator[IO[str]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:  # noqa: S603 - our own words
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listening\n"
        yield listener.stdout


def listening(node: str, interface: str, mark: bytes, last: bytes) -> AbstractContextManager[IO[str]]:
    """Listen on a node; what is read from the given file afterwards is the JSON list of marked frames."""
    return _listening(remote.ssh_argv(node, _as_root(LISTEN, interface, mark.hex(), last.hex())))


def listening_here(interface: str, mark: bytes, last: bytes) -> AbstractContextManager[IO[str]]:
    """Listen on this machine, where nodes are on one of its bridges."""
    return _listening(sudo.root_command("python3", "-c", LISTEN, interface, mark.hex(), last.hex()))
