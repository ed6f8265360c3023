"""An environment of the tests' own beside the lab, driven by `make` as an operator does.

Its topology stands in a copy of the clone and its state in a directory of its own: nothing of it is in the
working tree or among the lab's secrets. Image, downloads and the daemon are those of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import probe
import shell

from millrace import paths
from millrace.console import CommandError
from millrace.providers.lab import daemon, incus

NAME = "test-provision"
PROJECT = incus.project_name(NAME)
BRIDGE = "millrace-test0"
# Beside the lab's own range; molecule's containers are in the lab's.
PREFIX = "10.77.99"
ADDRESSES = {"one": f"{PREFIX}.11", "two": f"{PREFIX}.12"}
MEMORY = 256
# Where cgroups are unified, and where memory has a hierarchy of its own.
LIMIT = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
PARTS = (
    "Makefile",
    "requirements.txt",
    "terraform",
    "tools",
    "services",
    "ansible/catalogue.yml",
    "ansible/defaults",
    "ansible/secrets.yml",
)


@dataclass(frozen=True)
class Container:
    """What tells whether a container was made anew, started anew (its first process) or set otherwise."""

    created: str
    process: int
    config: dict[str, str]
    devices: dict[str, dict[str, str]]


def containers(project: str) -> dict[str, Container]:
    """Return the running containers of a project by name."""
    found: list[dict[str, Any]] = incus.query(f"/1.0/instances?recursion=2&project={project}")
    return {
        one["name"]: Container(
            one["created_at"],
            one["state"]["pid"],
            # Without what the daemon keeps there for itself.
            {key: value for key, value in one["config"].items() if not key.startswith("volatile.")},
            one["devices"],
        )
        for one in found
        if one["status"] == "Running"
    }


def clear() -> None:
    """Remove what the daemon has of the environment, also what a run that was killed left."""
    probe.wait_until("the environment's containers to go", _emptied)
    if f"/1.0/projects/{PROJECT}" in incus.query("/1.0/projects"):
        incus.incus("project", "delete", PROJECT)
    if daemon.network(BRIDGE) is not None:
        incus.incus("network", "delete", BRIDGE)


def _emptied() -> bool:
    left = [instance.name for instance in incus.instances(PROJECT)]
    if left:
        # Of a run that was killed, the daemon may still be busy with one.
        with contextlib.suppress(CommandError):
            incus.incus("delete", "--force", "--project", PROJECT, *left)
    return not incus.instances(PROJECT)


def processes() -> set[str]:
    """Return the command lines of the bridge's name server and of the containers' monitors."""
    # Not all that names bridge or project: that may be a shell in which somebody looks at them.
    names = (f"--interface={BRIDGE} ", f"[lxc monitor] {incus.directory()}/containers {PROJECT}_")
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if any(name in words for name in names):
            found.add(words)
    return found


@dataclass
class Throwaway:
    """The environment: `nodes` are those of its topology, with their memory in MiB."""

    root: Path
    nodes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Copy what the verbs need of the clone."""
        source = paths.repo_root()
        for part in PARTS:
            target = self.clone / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / part).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", ".terraform*", "*.egg-info")
                shutil.copytree(source / part, target, ignore=ignored)
            else:
                shutil.copy(source / part, target)
        (self.clone / "inventories" / NAME).mkdir(parents=True)
        # The tool environment is the machine's; its stamps tell `make` that it need not be made.
        (self.clone / ".venv/bin").mkdir(parents=True)
        shutil.copy(source / ".venv/bin/millrace", self.clone / ".venv/bin")
        for stamp in (source / ".venv").glob(".made-from-*"):
            (self.clone / ".venv" / stamp.name).touch()
        # Whoever has two environments has one record of the daemon: only other containers keep `make destroy`
        # from stopping it.
        record = paths.state_root() / "daemon.json"
        self.state.parent.mkdir(parents=True)
        if record.exists():
            shutil.copy(record, self.state.parent)

    @property
    def clone(self) -> Path:
        """The copy of the clone."""
        return self.root / "clone"

    @property
    def state(self) -> Path:
        """The environment's state directory."""
        return self.root / "state/millrace" / NAME

    def write_topology(self) -> None:
        """Write the topology: the first node in all groups that the catalogue wants filled, others in one."""
        services = probe.ENVIRONMENT.catalogue.services.values()
        groups = sorted({service.group for service in services} - {"all"})
        listed = {
            name: {
                "groups": groups if number == 0 else ["spark_drivers"],
                "address": ADDRESSES[name],
                "cores": 2,
                "memory": memory,
                "disk": 2,
            }
            for number, (name, memory) in enumerate(self.nodes.items())
        }
        network = {"cidr": f"{PREFIX}.0/24", "gateway": f"{PREFIX}.1", "bridge": BRIDGE}
        lines = ["environment: " + NAME, "provider: lab", f"domain: {NAME}.millrace.internal", "network:"]
        lines += [f"  {key}: {value}" for key, value in network.items()]
        # JSON is YAML; one line a node, as people write it.
        lines += ["nodes:", *(f"  {name}: {json.dumps(node)}" for name, node in listed.items()), ""]
        (self.clone / "inventories" / NAME / "topology.yml").write_text("\n".join(lines), encoding="utf-8")

    def make(self, *words: str, yes: str = "1") -> subprocess.CompletedProcess[str]:
        """Run `make` for the environment, without a terminal: its questions are answered by `yes`."""
        own = {"XDG_STATE_HOME": str(self.root / "state"), "PYTHONPATH": str(self.clone / "tools/src")}
        command = ["make", *words, f"ENV={NAME}", f"YES={yes}"]
        with subprocess.Popen(  # noqa: S603 - an argv of ours
            command,
            cwd=self.clone,
            env={**shell.environment(), **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                printed = process.communicate(timeout=probe.PATIENCE)
            except BaseException:
                # With all that it started: Terraform would go on making containers behind our back.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, *printed)

    def made(self, *words: str) -> str:
        """Run `make`, which must end well; return what it printed."""
        done = self.make(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def provision(self) -> str:
        """Make the nodes what `nodes` says; return what `make provision` printed."""
        self.write_topology()
        return self.made("provision")

    def ssh(self, node: str, command: str) -> str:
        """Run a command on a node with `make ssh`."""
        return self.made("ssh", f"NODE={node}", f"CMD={command}").strip()

    def host_keys(self) -> dict[str, str]:
        """Return the nodes' recorded host keys by name."""
        lines = (self.state / "known_hosts").read_text(encoding="utf-8").splitlines()
        return {line.partition(",")[0]: line.split()[2] for line in lines}
