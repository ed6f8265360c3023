"""Everyday commands on a running environment: logs, psql, history, batch, consume, produce, restart, diff."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

from millrace.access import remote, sql
from millrace.console import MillraceError
from millrace.model.current import chosen_service, current_environment
from millrace.paths import environment, repo_root
from millrace.verbs.phases import deploy_command

if TYPE_CHECKING:
    from collections.abc import Sequence

KAFKA_CLI = "/usr/local/bin/kafka-cli"
# The options of sensors-history (services/sensors/job), and the variables of `make` that give them.
HISTORY_OPTIONS = {"--sensor": "SENSOR", "--from": "FROM", "--to": "TO", "--source": "SOURCE"}
# And those of sensors-batch recompute.
BATCH_OPTIONS = {"--day": "DAY", "--from": "FROM", "--to": "TO"}


def playbook(name: str, *options: str) -> list[str]:
    """Return the argv that runs one of our playbooks against the chosen environment."""
    program = repo_root() / ".venv" / "bin" / "ansible-playbook"
    inventory = f"inventories/{environment()}"
    return [str(program), "-i", inventory, f"ansible/playbooks/{name}.yml", *options]


def _play(name: str, *options: str) -> NoReturn:
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
    """Open psql on the database, or run the statements on standard input."""
    node = current_environment().topology.members("timescaledb")[0].name
    remote.become(remote.ssh_argv(node, [*sql.PSQL, sql.DATABASE], tty=sys.stdin.isatty()))


def consume_main(argv: list[str]) -> NoReturn:
    """Print a topic's messages as they come; FROM=beginning for all there are, MAX= to stop after so many."""
    options = ["--topic", _argument(argv) or _no_topic(), "--formatter-property", "print.key=true"]
    if os.environ.get("FROM") == "beginning":
        options.append("--from-beginning")
    if count := os.environ.get("MAX"):
        options += ["--max-messages", count]
    _kafka("org.apache.kafka.tools.consumer.ConsoleConsumer", options)


def produce_main(argv: list[str]) -> NoReturn:
    """Send each line of standard input to a topic; ``key<TAB>value`` with KEY=1."""
    options = ["--topic", _argument(argv) or _no_topic()]
    if os.environ.get("KEY"):
        options += ["--reader-property", "parse.key=true"]
    _kafka("org.apache.kafka.tools.ConsoleProducer", options)


def history_main(_argv: list[str]) -> NoReturn:
    """Print readings as CSV from database and lake (SOURCE=: one of them), of SENSOR=, FROM= and TO=."""
    _on_apps(["sudo", "sensors-history"], HISTORY_OPTIONS)


def batch_main(_argv: list[str]) -> NoReturn:
    """Add up the aggregates of DAY= (or FROM= and TO=) from the lake and compare them with those stored."""
    _on_apps(["sudo", "sensors-batch", "recompute"], BATCH_OPTIONS)


def _on_apps(command: list[str], options: dict[str, str]) -> NoReturn:
    for option, variable in options.items():
        if value := os.environ.get(variable):
            command += [option, value]
    node = current_environment().topology.members("apps")[0].name
    remote.become(remote.ssh_argv(node, command))


def restart_main(argv: list[str]) -> NoReturn:
    """Restart a service node by node, each healthy again before the next."""
    service = chosen_service(current_environment(), _argument(argv))
    _play("restart", "-e", json.dumps({"service": service.name, "service_group": service.group}))


def diff_main(_argv: list[str]) -> NoReturn:
    """Show what a deploy (with the same LIMIT= and TAGS=) would change, and change nothing."""
    current_environment()
    os.chdir(repo_root())
    remote.become([*deploy_command(), "--check", "--diff"])


def _argument(argv: Sequence[str]) -> str:
    return argv[0] if argv else ""


def _no_topic() -> NoReturn:
    message = "TOPIC is missing; `make status` and ansible/playbooks/group_vars/kafka.yml list the topics"
    raise MillraceError(message)


def _kafka(tool: str, options: Sequence[str]) -> NoReturn:
    node = current_environment().topology.members("kafka")[0].name
    remote.become(remote.ssh_argv(node, ["sudo", KAFKA_CLI, tool, *options]))
