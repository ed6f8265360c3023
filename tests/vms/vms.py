"""`make test-libvirt`: one tier on virtual machines of libvirt, from the first boot to the last trace.

TIER names the tier. Without hardware virtualisation it takes up to an hour. Exit status 1 where anything was
lost, changed by a second run, or left behind.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import one_tier
import posing
from shell import environment
from tiers import TIERS

from millrace.access import ssh
from millrace.console import MillraceError, Phases, say, stream_checked
from millrace.model.current import choose, current_environment
from millrace.paths import repo_root, state_dir
from millrace.providers.libvirt import leftovers, virsh
from millrace.providers.libvirt.nodes import domain, prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiers import Tier


def make(target: str, **variables: str) -> None:
    """Call a target of the Makefile for the test's environment."""
    words = [f"{name}={value}" for name, value in {"ENV": one_tier.NAME, "YES": "1", **variables}.items()]
    stream_checked(["make", target, *words], cwd=repo_root(), env=environment())


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
        machine = domain(one_tier.NAME, node)
        acknowledged = tier(node).acknowledged_until(lambda: say(virsh.virsh("reset", machine).strip()))
        kept(acknowledged, again(tier, node), "after a hard reset")
    with phases.phase("rebuilt node"):
        make("provision", REBUILD=node)
        make("deploy")
        kept(acknowledged, again(tier, node), "on a node made anew")


def main() -> int:
    """Play one tier and remove it, whatever became of it; return the exit status."""
    name = choose("TIER", os.environ.get("TIER", ""), TIERS)
    os.environ["ENV"] = one_tier.NAME
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
        one_tier.remove()
        say(phases.summary())
    left = leftovers.in_libvirt(prefix(one_tier.NAME))
    if left != leftovers.Things():
        message = f"make destroy left {left}"
        raise AssertionError(message)
    say(f"{name}: done, and nothing is left in libvirt")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, MillraceError) as error:
        sys.exit(f"make test-libvirt: {error}")
