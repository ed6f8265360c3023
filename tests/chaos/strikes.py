"""Does to an environment what a fault says, and undoes it. A step that is repeated does nothing more."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import probe

from millrace.access import remote
from millrace.console import MillraceError
from millrace.paths import state_dir
from millrace.providers import owner
from millrace.providers.lab import incus
from millrace.providers.lab import nodes as lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults import Fault

DISK = Path(__file__).with_name("on_node_disk.sh").read_text(encoding="utf-8")
# Declared before it is deleted, so that deleting it works also where there is none.
NO_CUT = "table inet millrace_chaos\ndelete table inet millrace_chaos\n"
CUT = """
table inet millrace_chaos {{
  chain input {{
    type filter hook input priority -300; policy accept;
    ip saddr {{ {peers} }} drop
  }}
  chain output {{
    type filter hook output priority -300; policy accept;
    ip daddr {{ {peers} }} drop
  }}
}}
"""


class Strike:
    """A fault that is over as soon as it has struck: what it hit comes back by itself."""

    held = False  # whether it lasts until it is healed

    def __init__(self, fault: Fault) -> None:
        """Take the fault; nothing happens yet."""
        self.fault = fault

    def prepare(self) -> None:
        """Do what has to be done before data flows."""

    def inject(self) -> None:
        """Strike."""

    def heal(self) -> None:
        """End a fault that is held."""

    def clear(self) -> None:
        """Undo what `prepare` did."""

    def _systemctl(self, *words: str) -> None:
        for node in self.fault.nodes:
            remote.run(node, ["sudo", "systemctl", *words, self.fault.unit])


class KilledDaemon(Strike):
    """SIGKILL to the main process."""

    def inject(self) -> None:
        """Strike."""
        self._systemctl("kill", "-s", "KILL", "--kill-whom=main")


class RestartedDaemon(Strike):
    """A restart by hand."""

    def inject(self) -> None:
        """Strike; returns when systemd has started it again."""
        self._systemctl("restart")


class FrozenDaemon(Strike):
    """SIGSTOP to all processes of the unit: its connections stay open, and nobody answers."""

    held = True

    def inject(self) -> None:
        """Strike."""
        self._systemctl("kill", "-s", "STOP", "--kill-whom=all")

    def heal(self) -> None:
        """Let it go on."""
        self._systemctl("kill", "-s", "CONT", "--kill-whom=all")


class KilledNode(Strike):
    """The node's power cut, with everything on it."""

    held = True

    def inject(self) -> None:
        """Strike."""
        self._incus("stop", "--force")

    def heal(self) -> None:
        """Have the node run, in whatever state it is."""
        state = {instance.name: instance.status for instance in incus.instances(self._project)}
        for node in self.fault.nodes:
            if state[node] == "Frozen":
                incus.incus("resume", "--project", self._project, node)
            elif state[node] != "Running":
                lab.start_nodes(self._project, [node])

    @property
    def _project(self) -> str:
        return incus.project_name(probe.ENVIRONMENT.topology.environment)

    def _incus(self, verb: str, *options: str) -> None:
        own = owner.owner_id(state_dir())
        owners = {instance.name: instance.owner for instance in incus.instances(self._project)}
        foreign = [node for node in self.fault.nodes if owners.get(node) != own]
        if foreign:
            message = f"{', '.join(foreign)} in the Incus project {self._project} are not this lab's"
            raise MillraceError(message)
        incus.incus(verb, "--project", self._project, *self.fault.nodes, *options)


class FrozenNode(KilledNode):
    """The node paused: all of it stands still, its connections stay open."""

    def inject(self) -> None:
        """Strike."""
        self._incus("pause")


class RestartedNode(KilledNode):
    """A clean restart of the node."""

    held = False

    def inject(self) -> None:
        """Strike; returns when the node starts again."""
        self._incus("restart", "--timeout", "180")


class Cut(Strike):
    """No packet passes between the nodes and their peers, in either direction."""

    held = True

    def inject(self) -> None:
        """Strike."""
        self._nft(NO_CUT + CUT.format(peers=", ".join(self.fault.peers)))

    def heal(self) -> None:
        """Join them again."""
        self._nft(NO_CUT)

    def _nft(self, rules: str) -> None:
        for node in self.fault.nodes:
            remote.run(node, ["sudo", "nft", "-f", "-"], stdin=rules)


class FullDisk(Strike):
    """A partition's directory of a broker on a small file system of its own, which is filled."""

    held = True

    def prepare(self) -> None:
        """Move the directory there, with the broker stopped meanwhile."""
        self._disk("prepare")

    def inject(self) -> None:
        """Fill it."""
        self._disk("fill")

    def heal(self) -> None:
        """Give the space back."""
        self._disk("free")

    def clear(self) -> None:
        """Move the directory back, with the broker stopped meanwhile."""
        self._disk("clear")

    def _disk(self, step: str) -> None:
        for node in self.fault.nodes:
            remote.run(node, ["sudo", "sh", "-s", step, self.fault.unit, probe.TOPIC], stdin=DISK)


KINDS: dict[str, type[Strike]] = {
    "daemon killed": KilledDaemon,
    "daemon frozen": FrozenDaemon,
    "daemon restarted": RestartedDaemon,
    "node killed": KilledNode,
    "node frozen": FrozenNode,
    "node restarted": RestartedNode,
    "network cut": Cut,
    "disk full": FullDisk,
}


@contextmanager
def prepared(fault: Fault) -> Iterator[Strike]:
    """Yield what is ready to strike, and leave the environment as it was, whatever happens."""
    strike = KINDS[fault.kind](fault)
    try:
        strike.prepare()
        yield strike
    finally:
        try:
            strike.heal()
        finally:
            strike.clear()
