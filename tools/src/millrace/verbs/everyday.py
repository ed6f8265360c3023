"""Everyday commands on a running environment, among them those that the applications declare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

from millrace.access import remote, sql
from millrace.console import MillraceError
from millrace.model.commands import targets
from millrace.model.current import choose, chosen_service, current_environment, require_valid
from millrace.paths import environment, repo_root
from millrace.verbs.phases import deploy_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millrace.model.validation import Environment

KAFKA_CLI = "/usr/local/bin/kafka-cli"


def playbook(name: str, *options: str) -> list[str]:
    """Return the argv that runs one of our playbooks against the chosen environment."""
    program = repo_root() / ".venv" / "bin" / "ansible-playbook"
    inventory = f"inventories/{environment()}"
    return [str(program), "-i", inventory, f"ansible/playbooks/{name}.yml", *options]


def _play(name: str, *options: str) -> NoReturn:
    require_valid()
    os.chdir(repo_root())
    remote.become(playbook(name, *options))


def logs_main(argv: list[str]) -> int:
    """Follow the journal of a service on all its nodes; LINES= of the past (100), FOLLOW=0 to stop there."""
    loaded = current_environment()
    service = chosen_service(loaded, _argument(argv))
    units = [option for unit in (service.unit, *service.logs) for option in ("-u", unit)]
    follow = [] if os.environ.get("FOLLOW") == "0" else ["-f"]
    command = ["sudo", "journalctl", *units, "-n", os.environ.get("LINES", "100"), "-o", "short-iso", *follow]
    nodes = [node.name for node in loaded.topology.members(service.group)]
    if len(nodes) == 1:
        remote.become(remote.ssh_argv(nodes[0], command))
    running = [
        subprocess.Popen(remote.ssh_argv(node, command), stdin=subprocess.DEVNULL)  # noqa: S603 - an argv of ours
        for node in nodes
    ]
    try:
        return max(process.wait() for process in running)
    except KeyboardInterrupt:
        for process in running:
            process.terminate()
        return 0


def psql_main(_argv: list[str]) -> NoReturn:
    """Open psql on DATABASE= (the only one, without it), or run the statements on standard input."""
    loaded = current_environment()
    known = [name for application in loaded.applications.values() for name in application.databases]
    name = os.environ.get("DATABASE", "") or (known[0] if len(known) == 1 else "")
    database = choose("DATABASE", name, known)
    node = _first(loaded, "timescaledb")
    remote.become(remote.ssh_argv(node, [*sql.PSQL, database], tty=sys.stdin.isatty()))


def consume_main(argv: list[str]) -> NoReturn:
    """Print a topic's messages as they come; FROM=beginning for all there are, MAX= to stop after so many."""
    loaded = current_environment()
    options = ["--topic", _topic(loaded, argv), "--formatter-property", "print.key=true"]
    if os.environ.get("FROM") == "beginning":
        options.append("--from-beginning")
    if count := os.environ.get("MAX"):
        options += ["--max-messages", count]
    _kafka(loaded, "org.apache.kafka.tools.consumer.ConsoleConsumer", options)


def produce_main(argv: list[str]) -> NoReturn:
    """Send each line of standard input to a topic; ``key<TAB>value`` with KEY=1."""
    loaded = current_environment()
    options = ["--topic", _topic(loaded, argv)]
    if os.environ.get("KEY"):
        options += ["--reader-property", "parse.key=true"]
    _kafka(loaded, "org.apache.kafka.tools.ConsoleProducer", options)


def run_main(argv: list[str]) -> NoReturn:
    """Run an application's command on the node of its service, with the options whose variables are set."""
    loaded = current_environment()
    commands = {name: one for app in loaded.applications.values() for name, one in app.commands.items()}
    name = choose("TARGET", _argument(argv), [*targets(repo_root()), *commands])
    if name not in commands:
        message = f"{name} is a target of the Makefile; call `make {name}`"
        raise MillraceError(message)
    command = commands[name]
    service = loaded.catalogue.services.get(command.service)
    if service is None:
        message = f"{name} runs where {command.service} does, which {environment()} has no node for"
        raise MillraceError(message)
    words = ["sudo", *command.run]
    for option, variable in command.options.items():
        if value := os.environ.get(variable):
            words += [option, value]
    remote.become(remote.ssh_argv(loaded.topology.members(service.group)[0].name, words))


def restart_main(argv: list[str]) -> NoReturn:
    """Restart a service node by node, each healthy again before the next."""
    service = chosen_service(current_environment(), _argument(argv))
    _play("operations/restart", "-e", json.dumps({"service": service.name, "service_group": service.group}))


def diff_main(_argv: list[str]) -> NoReturn:
    """Show what a deploy (with the same LIMIT= and TAGS=) would change, and change nothing."""
    require_valid()
    os.chdir(repo_root())
    remote.become([*deploy_command(), "--check", "--diff"])


def _argument(argv: Sequence[str]) -> str:
    return argv[0] if argv else ""


def _first(loaded: Environment, group: str) -> str:
    """Return a node of a group; raise MillraceError where the environment has none."""
    for node in loaded.topology.members(group):
        return node.name
    message = f"{environment()} has no node in the group {group!r}"
    raise MillraceError(message)


def _topic(loaded: Environment, argv: Sequence[str]) -> str:
    """Return the topic that was named: any will do, but without one those that are declared are listed."""
    declared = [topic.name for one in loaded.applications.values() for topic in one.topics]
    return _argument(argv) or choose("TOPIC", "", declared)


def _kafka(loaded: Environment, tool: str, options: Sequence[str]) -> NoReturn:
    node = _first(loaded, "kafka")
    remote.become(remote.ssh_argv(node, ["sudo", KAFKA_CLI, tool, *options]))
