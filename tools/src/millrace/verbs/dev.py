"""``make dev``: the working tree of one of our services on its node, with debug logs and a debugger's port.

Our own services are those of the catalogue that have a port named `debug`; the role python_service starts the
debugger (debugpy), and only this host's loopback leads to it, through SSH.
"""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from millrace import artifacts
from millrace.access import remote
from millrace.console import say, stream
from millrace.model.catalogue import DEBUG
from millrace.model.current import choose, current_environment
from millrace.paths import repo_root
from millrace.verbs.everyday import playbook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from millrace.model.catalogue import Catalogue


def ours(catalogue: Catalogue) -> list[str]:
    """Return the names of the services that a debugger can attach to, in the catalogue's order."""
    return [service.name for service in catalogue.services.values() if DEBUG in service.ports]


def packages(root: Path, service: str) -> dict[str, str]:
    """Return the service's import packages: name -> folder in the clone, relative to its root."""
    return {
        path.parent.name: str(path.parent.relative_to(root))
        for project in artifacts.local_dependencies(artifacts.projects(root / "services")[service])
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
    name = choose("SERVICE", argv[0] if argv else "", ours(loaded.catalogue))
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
    say(instructions(name, tunnels, launch(name, port, packages(root, name), artifacts.python_version())))
    return 0
