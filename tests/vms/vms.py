"""`make test-libvirt`: one tier on virtual machines of libvirt, from the first boot to the last trace.

TIER names the tier. Without hardware virtualisation it takes up to an hour. Exit status 1 where anything was
lost, changed by a second run, or left behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import one_tier
import posing
from shell import environment
from tiers import TIERS

from millrace.access import ssh
from millrace.console import MillraceError, Phases, say, stream_checked
from millrace.model.current import choose, current_environment
from millrace.paths import environment as current
from millrace.paths import repo_root, state_dir
from millrace.providers import terraform
from millrace.providers.libvirt import leftovers, virsh
from millrace.providers.libvirt.nodes import domain, prefix
from millrace.providers.owner import owner_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiers import Tier


def command(target: str, **variables: str) -> list[str]:
    """Return the command line of a target of the Makefile, for the test's environment."""
    return [
        "make",
        target,
        *(f"{name}={value}" for name, value in {"ENV": current(), "YES": "1", **variables}.items()),
    ]


def make(target: str, **variables: str) -> None:
    """Call a target of the Makefile for the test's environment."""
    stream_checked(command(target, **variables), cwd=repo_root(), env=environment())


def killed_apply() -> None:
    """Kill a `make provision`, with all its processes, once it has begun to fill the first volume."""
    make("bootstrap")  # the daemon must answer
    with subprocess.Popen(  # noqa: S603 - our own argv
        command("provision"), cwd=repo_root(), env=environment(), start_new_session=True
    ) as process:
        while not (made := leftovers.in_libvirt(prefix(current()), owner_id(state_dir()))).volumes:
            if process.poll() is not None:
                message = f"make provision ended with status {process.returncode} before it made a volume"
                raise AssertionError(message)
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    known = leftovers.in_state(terraform.for_environment(current(), "libvirt").resources())
    if (unknown := made.without(known)) == leftovers.Things():
        message = "the apply was killed too late: its state knows all that it made"
        raise AssertionError(message)
    say(f"killed, with {', '.join(unknown.volumes)} made and not written down")


def again(tier: Callable[[str], Tier], node: str) -> set[int]:
    """Wait until the node answers and its services are well; return what is there."""
    ssh.wait_reachable(current_environment().topology, state_dir())
    make("smoke")
    return tier(node).present()


def kept(acknowledged: set[int], present: set[int], when: str) -> None:
    """Raise AssertionError where something acknowledged is not there."""
    if lost := acknowledged - present:
        message = f"{when}: {len(lost)} of {len(acknowledged)} acknowledged are lost: {sorted(lost)[:20]}"
        raise AssertionError(message)
    say(f"{when}: all {len(acknowledged)} acknowledged are there, of {len(present)}")


def play(name: str, node: str, phases: Phases) -> None:
    """Raise the tier, use it, strike its node, rebuild its node."""
    tier = TIERS[name]
    with phases.phase("killed apply"):
        killed_apply()
    with phases.phase("up"):
        make("up")
    with phases.phase("use"):
        say(tier(node).use())
    with phases.phase("a second run"):
        stream_checked([repo_root() / ".venv" / "bin" / "millrace", "idempotence"])
    with phases.phase("the node itself"):
        pytest = str(repo_root() / ".venv" / "bin" / "pytest")
        stream_checked([pytest, "-q", "tests/testinfra"], cwd=repo_root(), env=environment())
        say(posing.try_it(current_environment().topology, node))
    with phases.phase("down and start"):
        make("down")
        make("start")
        make("smoke")
        make("status")
    with phases.phase("hard reset"):
        machine = domain(current(), node)
        acknowledged = tier(node).acknowledged_until(lambda: say(virsh.virsh("reset", machine).strip()))
        kept(acknowledged, again(tier, node), "after a hard reset")
    with phases.phase("rebuilt node"):
        make("provision", REBUILD=node)
        make("deploy")
        kept(acknowledged, again(tier, node), "on a node made anew")


def main() -> int:
    """Play one tier and remove it, whatever became of it; return the exit status."""
    name = choose("TIER", os.environ.get("TIER", ""), TIERS)
    os.environ["ENV"] = one_tier.name(name)
    phases = Phases()
    node = one_tier.make(name)[0]
    try:
        play(name, node, phases)
    except Exception as error:
        say(f"make test-libvirt: failed: {error}")  # now, since to remove the nodes may fail too
        raise
    finally:
        with phases.phase("destroy"):
            make("destroy", PURGE="1")
        one_tier.remove(name)
        say(phases.summary())
    left = leftovers.in_libvirt(prefix(current()), "")
    machines = virsh.domains(f"{prefix(current())}-")
    if machines or left != leftovers.Things():
        message = f"make destroy left {machines} and {left}"
        raise AssertionError(message)
    say(f"{name}: done, and nothing is left in libvirt")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, MillraceError) as error:
        sys.exit(f"make test-libvirt: {error}")
