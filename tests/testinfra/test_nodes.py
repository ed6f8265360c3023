"""What must hold on every node, whatever runs there."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

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


def shown(host: Host, services: list[Service], *properties: str) -> dict[str, dict[str, str]]:
    """Return properties of the services' units, as systemd shows them, by unit; one command for all units."""
    options = "".join(f" -p {name}" for name in ("Id", *properties))
    text = host.check_output(f"systemctl show{options} -- {' '.join(one.unit for one in services)}")
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in text.split("\n\n")]
    return {block.pop("Id"): block for block in blocks}


def test_units_of_the_catalogue_run_and_come_back_at_boot(host: Host, services: list[Service]) -> None:
    units = [service.unit for service in services]
    assert shown(host, services, "ActiveState") == {unit: {"ActiveState": "active"} for unit in units}
    enabled = host.check_output(f"systemctl is-enabled -- {' '.join(units)} || true").splitlines()
    # Debian enables the instance of PostgreSQL's cluster through a generator.
    wrong = {u: e for u, e in zip(units, enabled, strict=True) if e not in {"enabled", "enabled-runtime"}}
    assert wrong == {}


def test_units_of_the_catalogue_restart_without_limit(host: Host, services: list[Service]) -> None:
    daemons = [service for service in services if service.is_daemon]
    wanted = {"Restart": "always", "StartLimitIntervalUSec": "0"}
    assert shown(host, daemons, *wanted) == {service.unit: wanted for service in daemons}


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


def test_security_updates_come_by_themselves(host: Host) -> None:
    sources = host.check_output("apt-get update --print-uris")
    assert re.search(r"-security/InRelease", sources), sources
    settings = host.check_output("apt-config dump APT::Periodic && apt-config dump Unattended-Upgrade")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    # Upgraded unattended, it would restart the database.
    assert re.search(r'Package-Blacklist:: "postgresql";', settings), settings
    timers = "apt-daily.timer apt-daily-upgrade.timer"
    assert host.check_output(f"systemctl is-active {timers} | sort -u") == "active"


def test_certificate_names_the_node_and_the_authority_signed_it(
    host: Host, node: Node, environment: Environment
) -> None:
    base = "/etc/millrace/pki"
    verify = f"openssl verify -CAfile {base}/ca.crt"
    names = {
        "-verify_hostname": (node.name, f"{node.name}.{environment.topology.domain}"),
        "-verify_ip": (str(node.address),),
    }
    # One after the other, until one fails; what it was is in the trace.
    steps = [f"{verify} -x509_strict {base}/node.crt"]
    steps += [f"{verify} {option} {name} {base}/node.crt" for option, all_ in names.items() for name in all_]
    host.check_output(f"sh -exc '{'; '.join(steps)}'")
    modes = host.check_output(f"stat -c '%a %n' {base}/node.key {base}/node.pem")
    assert modes.splitlines() == [f"640 {base}/node.key", f"640 {base}/node.pem"]


def test_units_of_ours_are_sandboxed(host: Host, services: list[Service]) -> None:
    units = [one.unit for one in services if one.name not in {"ssh", "timescaledb"}]
    # A timer is as exposed as what it starts.
    for unit in (unit.replace(".timer", ".service") for unit in units):
        report = host.check_output("systemd-analyze security --no-pager %s | tail -n 1", unit)
        exposure = re.search(r"Overall exposure level for \S+ (\d+\.\d+)", report)
        assert exposure, report
        assert float(exposure.group(1)) <= MOST_EXPOSED, report


def test_names_of_all_nodes_resolve(host: Host, environment: Environment) -> None:
    nodes = environment.topology.nodes
    first = "getent ahostsv4 $name | head -n 1 | cut -d ' ' -f 1"
    found = host.check_output(f"for name in {' '.join(nodes)}; do echo $name $({first}); done")
    resolved = dict(line.split() for line in found.splitlines())
    assert not [name for name, address in resolved.items() if ipaddress.ip_address(address).is_loopback]
    assert resolved == {name: str(node.address) for name, node in nodes.items()}
