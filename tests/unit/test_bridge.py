"""What keeps a bridge from working on a machine: addresses, and who listens at its ports."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from millrace import system
from millrace.machine import bridge

BRIDGE = bridge.Bridge("millrace0", "10.77.0.0/24", "10.77.0.1")

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
millrace0\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


# In the machine's byte order: a connection, the gateway's DNS, a resolver on loopback, SSH at all addresses.
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 01004D0A:0035 0200000A:A0B0 01 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0
   1: 01004D0A:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0
   2: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 102 1 0 100 0
   3: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 103 1 0 100 0
"""
UDP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref
   0: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 201 2 0 0
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 101 0 301 1
   1: 0000000000000000FFFF000001004D0A:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 101 0 302 1
   2: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0:0 0:0 0 101 0 303 1
"""


def test_only_other_interfaces_than_our_bridge_overlap_and_the_default_route_does_not() -> None:
    routes = system.parse_routes(ROUTES)
    assert system.overlaps("10.77.0.0/24", "millrace0", routes) == ["tun0"]
    assert system.overlaps("192.0.2.128/25", "millrace0", routes) == ["eth0"]
    assert system.overlaps("172.16.0.0/12", "millrace0", routes) == []


def test_listeners_are_those_that_wait() -> None:
    found = system.parse_listeners("tcp", TCP)
    assert [(str(one.address), one.port, one.inode) for one in found] == [
        ("10.77.0.1", 53, 101),
        ("127.0.0.53", 53, 102),
        ("0.0.0.0", 22, 103),  # noqa: S104 - nothing is bound
    ]
    found = system.parse_listeners("tcp", TCP6)
    assert [(str(one.address), one.port) for one in found] == [("::", 53), ("10.77.0.1", 53), ("::1", 53)]
    assert [one.protocol for one in system.parse_listeners("udp", UDP)] == ["udp"]


def test_in_the_bridges_way_is_who_listens_at_its_address_or_at_all() -> None:
    listeners = [
        *system.parse_listeners("tcp", TCP + TCP6.partition("\n")[2]),
        *system.parse_listeners("udp", UDP),
    ]
    found = system.in_the_way(listeners, "10.77.0.1", bridge.PORTS)
    assert [one.inode for one in found] == [101, 301, 302, 201]
    assert [one.inode for one in system.in_the_way(listeners, "10.9.0.1", {("tcp", 53)})] == [301]


def test_a_taken_port_is_told_with_its_process_where_that_is_known() -> None:
    listeners = [*system.parse_listeners("tcp", TCP6), *system.parse_listeners("udp", UDP)]
    opened = "/proc/812/fd/5 socket:[301]\n/proc/812/fd/7 socket:[302]\n/proc/9/fd/3 socket:[301]\nx\n"
    assert system.parse_open_sockets(opened) == {301: 812, 302: 812}
    in_the_way = system.in_the_way(listeners, "10.77.0.1", bridge.PORTS)
    assert bridge.taken_ports(in_the_way, {301: ("unbound", 812), 302: ("unbound", 812)}) == (
        "53/tcp is taken by unbound (process 812)",
        "67/udp is taken by a process that could not be found",
    )


@pytest.mark.parametrize("name", ["dnsmasq", "systemd-network"])
def test_who_serves_another_bridge_shares_the_port_of_dhcp_but_not_that_of_dns(name: str) -> None:
    tcp, udp = system.parse_listeners("tcp", TCP)[0], system.parse_listeners("udp", UDP)[0]
    holders = {tcp.inode: (name, 7), udp.inode: (name, 7)}
    assert bridge.taken_ports([tcp, udp], holders) == (f"53/tcp is taken by {name} (process 7)",)


@pytest.mark.parametrize(("interface", "asked"), [("lo", False), ("nosuch0", True)])
def test_ports_matter_only_where_the_bridge_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, interface: str, *, asked: bool
) -> None:
    monkeypatch.setattr(bridge, "_taken_ports", lambda gateway: (f"53/tcp at {gateway} is taken",))
    monkeypatch.setattr(bridge, "_firewall", lambda *_: ())
    found = bridge.look(replace(BRIDGE, name=interface), privileged=True)
    assert found.ports_taken == (("53/tcp at 10.77.0.1 is taken",) if asked else ())
    assert bridge.look(replace(BRIDGE, name=interface), privileged=False).ports_taken == ()


def test_the_process_behind_a_socket_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        assert [
            one.port
            for one in system.parse_listeners("tcp", Path("/proc/net/tcp").read_text(encoding="ascii"))
            if one.inode == inode
        ] == [server.getsockname()[1]]
        if os.geteuid() == 0:  # as others, sudo may want a password
            name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
            assert bridge._holders()[inode] == (name, os.getpid())  # noqa: SLF001 - what reads /proc
