"""The command ``millrace``: a table of subcommands, each imported only when it is called.

A subcommand is a function ``f(argv: list[str]) -> int`` in a module of this package; it parses its own
arguments. To add one, add a line to COMMANDS.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, cast

from millrace.console import INTERRUPTED, MillraceError, settle_ansible
from millrace.paths import repo_root, wrong_environment

if TYPE_CHECKING:
    from collections.abc import Callable

# name -> (module:function, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "validate": (
        "millrace.model.validation:main",
        "check topology and catalogue before anything is contacted",
    ),
    "secrets": ("millrace.model.secrets:main", "generate the secrets that the environment's vault lacks"),
    "role-docs": (
        "millrace.verbs.role_docs:main",
        "write each role's README from its argument specification",
    ),
    "locks": ("millrace.artifacts.locks:main", "renew the locks of jars and packages from versions.yml"),
    "bootstrap": (
        "millrace.machine.bootstrap:main",
        "prepare this machine for the environment",
    ),
    "image": (
        "millrace.verbs.nodes:image_main",
        "make the image of the nodes where it is missing",
    ),
    "providers": (
        "millrace.providers.checks:providers_main",
        "fetch Terraform's providers, or build those whose registry can't be reached",
    ),
    "check-terraform": (
        "millrace.providers.checks:check_main",
        "validate and test the Terraform of every provider",
    ),
    "provision": (
        "millrace.verbs.nodes:provision_main",
        "make the nodes, or change them to what the topology says",
    ),
    "provisioned": ("millrace.verbs.nodes:provisioned_main", "fail where the nodes were never made"),
    "ssh": ("millrace.verbs.nodes:ssh_main", "open a shell on a node, or run a command there"),
    "down": ("millrace.verbs.nodes:down_main", "stop the nodes and keep their data"),
    "start": ("millrace.verbs.nodes:start_main", "start the nodes again"),
    "status": (
        "millrace.verbs.status:main",
        "nodes, services, and what each application shows of itself",
    ),
    "footprint": ("millrace.verbs.footprint:main", "memory and processor time of each service"),
    "smoke": (
        "millrace.verbs.status:smoke_main",
        "wait until everything is active and data flows",
    ),
    "logs": ("millrace.verbs.everyday:logs_main", "follow the journal of a service on all its nodes"),
    "psql": ("millrace.verbs.everyday:psql_main", "open psql on a database"),
    "run": ("millrace.verbs.everyday:run_main", "run a command that an application declares"),
    "consume": ("millrace.verbs.everyday:consume_main", "print a topic's messages as they come"),
    "produce": ("millrace.verbs.everyday:produce_main", "send each line of standard input to a topic"),
    "restart": ("millrace.verbs.everyday:restart_main", "restart a service node by node, waiting for health"),
    "diff": ("millrace.verbs.everyday:diff_main", "show what a deploy would change"),
    "dev": (
        "millrace.verbs.dev:dev_main",
        "put the working tree of a service of ours onto its node, to debug it",
    ),
    "idempotence": (
        "millrace.verbs.idempotence:main",
        "provision and deploy again; fail if it changes anything",
    ),
    "destroy": (
        "millrace.verbs.destroy:destroy_main",
        "say what goes, ask, and remove the nodes, the network and what else is ours",
    ),
}
# They read arguments; everything else that a subcommand may be told are variables of the environment.
WITH_ARGUMENTS = frozenset(
    [
        "validate",
        "secrets",
        "bootstrap",
        "role-docs",
        "ssh",
        "logs",
        "consume",
        "produce",
        "run",
        "restart",
        "dev",
        "footprint",
    ]
)
VARIABLES = "its options are variables of the environment, as of `make`: ENV=lab, YES=1, … (make help)"


def _explain(command: str, word: str) -> int:
    """Answer a word that a subcommand does not read: nothing may run because of it. Return the status."""
    if word in {"-h", "--help"}:
        sys.stdout.write(f"millrace {command}: {COMMANDS[command][1]}; {VARIABLES}\n")
        return 0
    sys.stderr.write(f"millrace {command}: takes no arguments; {VARIABLES}\n")
    return 2


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand; return its exit status."""
    parser = argparse.ArgumentParser(prog="millrace", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.epilog = "commands:\n" + "\n".join(f"  {name:<16}{text}" for name, (_, text) in COMMANDS.items())
    parser.add_argument("command", choices=sorted(COMMANDS), metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    if args.arguments and args.command not in WITH_ARGUMENTS:
        return _explain(args.command, args.arguments[0])
    if wrong := wrong_environment():
        sys.stderr.write(f"{wrong}\n")
        return 2
    settle_ansible(repo_root())
    module, _, function = COMMANDS[args.command][0].partition(":")
    run = cast("Callable[[list[str]], int]", getattr(importlib.import_module(module), function))
    try:
        return run(args.arguments)
    except MillraceError as error:
        sys.stderr.write(f"millrace {args.command}: {error}\n")
        return 1
    except BrokenPipeError:  # such as of `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
