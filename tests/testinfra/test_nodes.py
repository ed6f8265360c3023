"""What must hold on every node, whatever runs there."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import pytest

from millrace.model.catalogue import allowed_flows

if TYPE_CHECKING:
    from testinfra.host import Host

    from millrace.model.catalogue import Service
    from millrace.model.topology import Node
    from millrace.model.validation import Environment

# Everything of ours and Debian's that runs here; a higher figure is a more exposed service (0 to 10).
MOST_EXPOSED = 5.0
# Answers of the DHCP server, which connection tracking does not recognise.
DHCP_CLIENT = "68"


def test_no_unit_has_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_units_of_the_catalogue_run_and_come_back_at_boot(host: Host, services: list[Service]) -> None:
    for service in services:
        unit = host.service(service.unit.removesuffix(".service"))
        assert unit.is_running, service.name
        # Debian enables the instance of PostgreSQL's cluster through a generator.
        enabled = host.check_output("systemctl is-enabled %s || true", service.unit)
        assert enabled in {"enabled", "enabled-runtime"}, f"{service.name}: {enabled}"


def test_units_of_the_catalogue_restart_without_limit(host: Host, services: list[Service]) -> None:
    for service in (service for service in services if service.is_daemon):
        shown = host.check_output("systemctl show %s -p Restart -p StartLimitIntervalUSec", service.unit)
        wanted = {"Restart=always", "StartLimitIntervalUSec=0"}
        assert wanted <= set(shown.splitlines()), f"{service.name}: {shown}"


def test_health_checks_of_the_catalogue(host: Host, services: list[Service]) -> None:
    for service in services:
        check = service.health
        if check.port is None:
            continue
        port = service.ports[check.port].first
        if check.kind == "http":
            answer = host.run(
                f"curl -sf --noproxy '*' -m 10 -o /dev/null http://127.0.0.1:{port}{check.path}"
            )
            assert answer.rc == 0, f"{service.name}: curl ended with {answer.rc}"
        else:
            listening = host.check_output("ss -tlnH sport = :%s", str(port))
            assert listening, f"{service.name}: nothing listens on {port}"


def test_only_ports_of_the_catalogue_are_open(host: Host, node: Node, environment: Environment) -> None:
    flows = allowed_flows(
        environment.topology.nodes,
        environment.catalogue,
        node.name,
        environment.topology.operator_sources,
    )
    rules = host.check_output("nft list chain inet millrace input")
    assert "policy drop" in rules
    accepted = {line.split("dport ")[1].split()[0] for line in rules.splitlines() if "dport" in line}
    assert accepted == {flow.port for flow in flows} | {DHCP_CLIENT}


def test_certificate_names_the_node_and_the_authority_signed_it(
    host: Host, node: Node, environment: Environment
) -> None:
    base = "/etc/millrace/pki"
    host.run_expect([0], f"openssl verify -x509_strict -CAfile {base}/ca.crt {base}/node.crt")
    for option, name in (
        ("-verify_hostname", node.name),
        ("-verify_hostname", f"{node.name}.{environment.topology.domain}"),
        ("-verify_ip", str(node.address)),
    ):
        host.run_expect([0], f"openssl verify -CAfile {base}/ca.crt {option} {name} {base}/node.crt")
    for private in ("node.key", "node.pem"):
        assert host.file(f"{base}/{private}").mode == 0o640


def test_units_of_ours_are_sandboxed(host: Host, services: list[Service]) -> None:
    units = [one.unit for one in services if one.name not in {"ssh", "timescaledb"}]
    # A timer is as exposed as what it starts.
    for unit in (unit.replace(".timer", ".service") for unit in units):
        report = host.check_output("systemd-analyze security --no-pager %s | tail -n 1", unit)
        exposure = re.search(r"Overall exposure level for \S+ (\d+\.\d+)", report)
        assert exposure, report
        assert float(exposure.group(1)) <= MOST_EXPOSED, report


def test_names_of_all_nodes_resolve(host: Host, environment: Environment) -> None:
    for other in environment.topology.nodes.values():
        resolved = host.check_output("getent ahostsv4 %s", other.name).split()[0]
        if ipaddress.ip_address(resolved).is_loopback:
            pytest.fail(f"{other.name} resolves to the loopback")
        assert resolved == other.address
