"""``make dev``: the working tree of one of our services on its node, with debug logs and a debugger's port.

Our own services are those of the applications that have a port named `debug`; the roles start the
debugger (debugpy), and only this host's loopback leads to it, through SSH.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from millrace.access import remote
from millrace.artifacts import api as artifacts
from millrace.console import say, stream
from millrace.model.catalogue import DEBUG
from millrace.model.current import choose, current_environment
from millrace.paths import repo_root
from millrace.verbs.everyday import playbook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from millrace.model.programs import Program
    from millrace.model.validation import Environment


def ours(loaded: Environment) -> dict[str, Program]:
    """Return the programs that run in the environment and that a debugger can attach to, by service."""
    services = loaded.catalogue.services
    return {
        name: program
        for application in loaded.applications.values()
        for name, program in application.programs.items()
        if name in services and DEBUG in services[name].ports
    }


def packages(root: Path, projects: Iterable[Path]) -> dict[str, str]:
    """Return the import packages of a service's projects: name -> folder in the clone `root`."""
    return {
        path.parent.name: str(path.parent.relative_to(root))
        for project in projects
        for path in sorted((project / "src").glob("*/__init__.py"))
    }


def tunnel(config: Path, node: str, port: int) -> list[str]:
    """Return the argv that leads this machine's port to the node's own, until interrupted."""
    forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:127.0.0.1:{port}"]
    return ["ssh", "-F", str(config), *forward, node]


def launch(service: str, port: int, folders: Mapping[str, str], python: str) -> dict[str, object]:
    """Return VS Code's launch configuration for nodes with Python ``python`` (such as 3.13)."""
    installed = f"/opt/millrace/{service}/venv/lib/python{python}/site-packages"
    return {
        "name": f"millrace {service}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "127.0.0.1", "port": port},
        # Our code is an installed package there, which a debugger otherwise takes for somebody else's.
        "justMyCode": False,
        "pathMappings": [
            {"localRoot": f"${{workspaceFolder}}/{folder}", "remoteRoot": f"{installed}/{name}"}
            for name, folder in folders.items()
        ],
    }


def instructions(
    service: str, tunnels: Mapping[str, Sequence[str]], configuration: Mapping[str, object]
) -> str:
    """Return what to do to attach, and to go back; ``tunnels`` maps each node to its argv."""
    return "\n".join(
        (
            f"{service} runs the working tree on {', '.join(tunnels)} and listens for a debugger.",
            f"A tunnel to it, until interrupted{' (one at a time)' if len(tunnels) > 1 else ''}:",
            "",
            *(f"  {shlex.join(argv)}" for argv in tunnels.values()),
            "",
            "Then attach; in VS Code with this among the `configurations` of .vscode/launch.json:",
            "",
            json.dumps(configuration, indent=2),
            "",
            f"`make deploy TAGS={service}` takes the debugger and the debug logs away again.",
        )
    )


def dev_main(argv: list[str]) -> int:
    """Put the working tree of one of our services onto its node and say how to attach a debugger."""
    loaded = current_environment()
    known = ours(loaded)
    name = choose("SERVICE", argv[0] if argv else "", known)
    config = remote.ssh_config()
    root = repo_root()
    options = ["--tags", name, "-e", json.dumps({"millrace_debug": True})]
    status = stream(playbook("site", *options), cwd=root)
    if status != 0:
        return status
    service = loaded.catalogue.services[name]
    port = service.ports[DEBUG].first
    nodes = [node.name for node in loaded.topology.members(service.group)]
    tunnels = {node: tunnel(config, node, port) for node in nodes}
    folders = packages(root, known[name].projects)
    say(instructions(name, tunnels, launch(name, port, folders, artifacts.python_version())))
    return 0
