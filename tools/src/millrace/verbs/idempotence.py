"""The idempotence test: a second provision and deploy change nothing, and every daemon keeps its process."""

from __future__ import annotations

import re

from millrace.access import remote
from millrace.console import MillraceError, say, stream_captured
from millrace.model.current import current_environment
from millrace.paths import repo_root
from millrace.verbs.nodes import provision
from millrace.verbs.phases import deploy_command

PROPERTIES = ("Id", "ActiveState", "MainPID", "InvocationID")


def recap(output: str) -> dict[str, tuple[int, int]]:
    """Parse Ansible's recap into {host: (changed, failed or unreachable)}."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", output)
    pattern = r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)"
    found = re.findall(pattern, text.rpartition("PLAY RECAP")[2], flags=re.MULTILINE)
    return {host: (int(changed), int(lost) + int(failed)) for host, changed, lost, failed in found}


def parse_processes(output: str) -> dict[str, str]:
    """Parse `systemctl show` of PROPERTIES into {unit: its main process's id}; "0" for one that doesn't run.

    A timer has no process: the id of its start stands for it.
    """
    processes = {}
    for block in output.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines())
        if "Id" in fields:
            running = fields.get("ActiveState") == "active"
            started = fields.get("MainPID") or fields.get("InvocationID", "0")
            processes[fields["Id"]] = started if running else "0"
    return processes


def processes() -> dict[tuple[str, str], str]:
    """Return the main process of each of the catalogue's units on each of its nodes."""
    loaded = current_environment()
    found: dict[tuple[str, str], str] = {}
    for name, node in loaded.topology.nodes.items():
        services = loaded.catalogue.services.values()
        units = sorted(service.unit for service in services if service.runs_on(node.groups))
        shown = remote.run(name, ["systemctl", "show", "-p", ",".join(PROPERTIES), "--", *units])
        found |= {(name, unit): pid for unit, pid in parse_processes(shown).items()}
    return found


def differences(before: dict[tuple[str, str], str], after: dict[tuple[str, str], str]) -> list[str]:
    """Return a line for each daemon that doesn't run, or not in the process that it had."""
    lines = []
    for (node, unit), pid in before.items():
        now = after.get((node, unit), "0")
        if pid == "0" or now == "0":
            lines.append(f"{unit} on {node} does not run")
        elif now != pid:
            lines.append(f"{unit} on {node} was process {pid} and is now {now}")
    return lines


def main(_argv: list[str]) -> int:
    """Provision and deploy once more and fail with a list of everything that changed."""
    before = processes()
    found = ["make provision changed the nodes"] if provision(current_environment().topology) else []
    hosts = recap(stream_captured(deploy_command(), cwd=repo_root()))
    if not hosts:
        found.append("the deploy printed no recap")
    found += [
        f"the deploy changed {changed} things on {host}" for host, (changed, _) in hosts.items() if changed
    ]
    found += differences(before, processes())
    if found:
        raise MillraceError("a second deploy must change nothing:\n  - " + "\n  - ".join(found))
    say(
        f"a second deploy changed nothing on {len(hosts)} hosts, and {len(before)} daemons kept their process"
    )
    return 0
