"""The verbs on an environment's nodes: provision, down, start, image, ssh. The provider does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from millrace.access import remote, ssh
from millrace.console import say
from millrace.model.current import choose, current_environment
from millrace.paths import state_dir
from millrace.providers.registry import provider_of

if TYPE_CHECKING:
    from millrace.model.topology import Topology


def provision(topology: Topology) -> bool:
    """Make the nodes as the topology says, reachable over SSH; tell whether anything changed."""
    provider = provider_of(topology)
    state = state_dir(topology.environment)
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    changed = provider.apply()
    changed = ssh.record(topology, state, provider.host_keys(), provider.way()) or changed
    ssh.wait_reachable(topology, state)
    return changed


def provision_main(_argv: list[str]) -> int:
    """Run `make provision`."""
    topology = current_environment().topology
    changed = provision(topology)
    done = "are as the topology says" if changed else "were already as the topology says; nothing changed"
    say(f"{len(topology.nodes)} nodes of {topology.environment} {done}")
    config = state_dir(topology.environment) / "ssh_config"
    say(f"SSH: make ssh NODE={next(iter(topology.nodes))}, or ssh -F {config} NODE")
    return 0


def image_main(_argv: list[str]) -> int:
    """Make the nodes' image where it is missing."""
    say(provider_of(current_environment().topology).image())
    return 0


def provisioned_main(_argv: list[str]) -> int:
    """Return 0 where the nodes were made; MillraceError names what makes them."""
    remote.ssh_config()
    return 0


def ssh_main(argv: list[str]) -> NoReturn:
    """Become ssh to a node; further words are a command for it."""
    topology = current_environment().topology
    node = choose("NODE", argv[0] if argv else "", topology.nodes)
    remote.become(["ssh", "-F", str(remote.ssh_config()), node, *argv[1:]])


def down_main(_argv: list[str]) -> int:
    """Stop the running nodes cleanly and keep their data."""
    topology = current_environment().topology
    env = topology.environment
    say(
        f"{env} is stopped; `make start` starts it again with its data"
        if provider_of(topology).stop()
        else f"{env} has no nodes to stop; `make up` makes them"
    )
    return 0


def start_main(_argv: list[str]) -> int:
    """Start the nodes that exist."""
    topology = current_environment().topology
    provider_of(topology).start()
    ssh.wait_reachable(topology, state_dir(topology.environment))
    say(f"all {len(topology.nodes)} nodes of {topology.environment} answer over SSH")
    return 0
