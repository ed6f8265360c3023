"""Firewalls of the operator's machine: what they keep from the bridge, and that the named rules cure it.

The files in firewalls/ are what iptables-save and `nft -j list ruleset` printed on Debian 13, in a network
namespace of its own: ufw and firewalld as their packages enable them, a usual nftables.conf, and a copy of
Docker's rules. Each has a twin, printed after the rules that the preflight names were added. Chains of output
and NAT are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from millrace import system
from millrace.machine import bootstrap, bridge, findings, firewall, sudo
from millrace.providers import terraform
from millrace.providers.lab import daemon, incus
from millrace.providers.lab.needs import LabPreparation

if TYPE_CHECKING:
    from collections.abc import Sequence

BRIDGE = daemon.Bridge("millrace0", "10.77.0.0/24", "10.77.0.1")
PACKETS = firewall.packets(BRIDGE.name, BRIDGE.cidr, BRIDGE.gateway, "eth0")
IPTABLES_DROP = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n{}COMMIT\n"


def _sample(name: str) -> str:
    return (Path(__file__).parent / "firewalls" / name).read_text(encoding="utf-8")


def _obstacles(*iptables: str, nft: str = "") -> list[str]:
    return firewall.obstacles(firewall.dropped(firewall.read(nft, iptables), PACKETS), BRIDGE.name)


def _of(name: str) -> list[str]:
    text = _sample(name)
    return _obstacles(nft=text) if name.endswith(".json") else _obstacles(text)


def _nft(*expressions: dict[str, Any], policy: str = "drop") -> str:
    place = {"family": "inet", "table": "filter"}
    chain = {**place, "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    rule = {**place, "chain": "input", "expr": list(expressions)}
    table = {"family": "inet", "name": "filter"}
    return json.dumps({"nftables": [{"table": table}, {"chain": chain}, {"rule": rule}]})


@pytest.mark.parametrize(
    ("sample", "who", "what", "commands"),
    [
        (
            "ufw.txt",
            "ufw",
            "DHCP, DNS, the way out",
            (
                "ufw allow in on millrace0",
                "ufw route allow in on millrace0",
                "ufw route allow out on millrace0",
            ),
        ),
        (
            "firewalld.json",
            "firewalld",
            "DHCP, DNS, the way out",
            (
                "firewall-cmd --permanent --zone=trusted --change-interface=millrace0",
                "firewall-cmd --reload",
            ),
        ),
        (
            "docker.txt",
            "Docker",
            "the way out",
            (
                "iptables -I DOCKER-USER -i millrace0 -j ACCEPT",
                "iptables -I DOCKER-USER -o millrace0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            ),
        ),
        (
            "nft.json",
            "nft, table inet filter",
            "DHCP, DNS, the way out",
            (
                "nft insert rule inet filter input iifname millrace0 udp dport '{ 53, 67 }' accept",
                "nft insert rule inet filter input iifname millrace0 tcp dport 53 accept",
                "nft insert rule inet filter forward iifname millrace0 accept",
                "nft insert rule inet filter forward oifname millrace0 ct state established,related accept",
            ),
        ),
    ],
)
def test_a_firewall_is_seen_with_what_it_drops_and_the_rules_to_add(
    sample: str, who: str, what: str, commands: Sequence[str]
) -> None:
    (line,) = _of(sample)
    assert f"({who}) keeps {what} from the bridge millrace0; run as root: {'; '.join(commands)}" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "sample", ["ufw-allowed.txt", "firewalld-allowed.json", "docker-allowed.txt", "nft-allowed.json"]
)
def test_the_named_rules_cure_it(sample: str) -> None:
    assert _of(sample) == []


def test_plain_iptables_that_drops_is_told_the_ports() -> None:
    (line,) = _obstacles(
        IPTABLES_DROP.format("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n")
    )
    assert "(iptables, table ip filter) keeps DHCP, DNS from" in line
    assert "iptables -I INPUT -i millrace0 -p udp -m multiport --dports 53,67 -j ACCEPT" in line
    assert "until the next reboot" in line


@pytest.mark.parametrize(
    "rules",
    [
        "-A INPUT -i mill+ -j ACCEPT\n",
        "-A INPUT ! -i eth0 -j ACCEPT\n",
        "-A INPUT -p udp -m multiport --dports 53,60:70 -j ACCEPT\n-A INPUT -p tcp --dport 53 -j ACCEPT\n",
        "-A INPUT -s 10.77.0.0/24 -j ACCEPT\n-A INPUT -s 0.0.0.0/32 -j ACCEPT\n",
        # What cannot be judged is no reason to refuse.
        "-A INPUT -m recent --rcheck --name friends -j ACCEPT\n",
        "-A INPUT -m limit --limit 3/min -j DROP\n-A INPUT -j ACCEPT\n",
        "-A INPUT -j NFQUEUE --queue-num 0\n",
    ],
)
def test_rules_that_let_the_bridge_work_are_seen(rules: str) -> None:
    assert _obstacles(IPTABLES_DROP.format(rules)) == []


@pytest.mark.parametrize(
    "rules",
    [
        "-A INPUT -i eth0 -j ACCEPT\n",
        "-A INPUT ! -i mill+ -j ACCEPT\n",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n",
        '-A INPUT -m comment --comment "-j ACCEPT" -j DROP\n-A INPUT -j ACCEPT\n',
        ":own - [0:0]\n-A INPUT -g own\n-A INPUT -j ACCEPT\n-A own -i eth0 -j ACCEPT\n",
    ],
)
def test_rules_for_others_do_not_help_the_bridge(rules: str) -> None:
    assert len(_obstacles(IPTABLES_DROP.format(rules))) == 1


def test_what_a_jump_or_a_return_leaves_open_goes_on_with_the_next_rule() -> None:
    own = ":own - [0:0]\n-A own -i millrace0 -j RETURN\n-A own -j DROP\n-A INPUT -j own\n"
    assert len(_obstacles(IPTABLES_DROP.format(own))) == 1
    assert _obstacles(IPTABLES_DROP.format(own + "-A INPUT -j ACCEPT\n")) == []


def test_verdict_maps_and_protocols_by_number_are_followed() -> None:
    key = {"meta": {"key": "iifname"}}
    ours, other = (
        {"vmap": {"key": key, "data": {"set": [[name, {"accept": None}]]}}} for name in ("millrace0", "eth0")
    )
    assert _obstacles(nft=_nft(ours)) == []
    assert len(_obstacles(nft=_nft(other))) == 1
    numbers = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": {"set": [6, 17]}}}
    assert _obstacles(nft=_nft(numbers, {"accept": None})) == []


def test_sets_by_name_may_hold_and_other_families_do_not_matter() -> None:
    by_name = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "@inside"}}
    assert _obstacles(nft=_nft(by_name, {"accept": None})) == []
    assert _obstacles(nft=_nft({"drop": None}).replace('"inet"', '"ip6"')) == []


def test_an_address_of_another_layer_is_a_condition_that_may_hold() -> None:
    left = {"payload": {"protocol": "ether", "field": "saddr"}}
    match = {"match": {"op": "==", "left": left, "right": "52:54:00:00:00:01"}}
    assert _obstacles(nft=_nft(match, {"accept": None})) == []


def test_rules_that_both_tools_show_are_told_once() -> None:
    text = IPTABLES_DROP.format("")
    nft = _nft({"counter": None}).replace('"inet"', '"ip"')
    assert len(_obstacles(nft=nft)) == 1
    assert len(_obstacles(text, text, nft=nft)) == 1


def test_the_uplink_is_the_default_route_of_the_lowest_metric() -> None:
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    rows = (
        "wlan0\t00000000\t0100A8C0\t3\t0\t0\t600\t00000000\n"
        "eth0\t00000000\t0100A8C0\t3\t0\t0\t100\t00000000\n"
    )
    assert system.parse_uplink(head + rows + "up0\t0000A8C0\t00000000\t1\t0\t0\t0\t00FFFFFF\n") == "eth0"
    assert system.parse_uplink(head) == ""


def test_the_preflight_reads_the_firewall_and_stops_before_it_changes_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sudo, "privileged", lambda: True)
    monkeypatch.setattr(sudo, "exists", lambda _: False)
    monkeypatch.setattr(sudo, "root_command", lambda *words: list(words))
    monkeypatch.setattr(bridge, "_taken_ports", lambda _: ())
    monkeypatch.setattr(system, "program", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(incus, "running", lambda: False)
    monkeypatch.setattr(terraform, "find", lambda: "terraform")
    printed = {"nft": _sample("nft.json"), "iptables-save": _sample("ufw.txt"), "iptables-legacy-save": ""}
    monkeypatch.setattr(bridge, "run", lambda words: printed[Path(words[0]).name])
    wanted = findings.Wanted(1, LabPreparation(BRIDGE))
    found = findings.problems(bootstrap.look(wanted), wanted)
    assert [line.partition(")")[0] for line in found if "firewall" in line] == [
        "the firewall of this machine (ufw",
        "the firewall of this machine (nft, table inet filter",
    ]


@pytest.mark.parametrize("cidr", ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.0/32"])
def test_a_network_may_be_as_small_as_any(cidr: str) -> None:
    (packet, *_) = firewall.packets("b", cidr, "10.0.0.1", "eth0")
    assert packet
