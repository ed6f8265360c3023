"""``millrace status``: what runs, and what flows, on one page. Only ``collect`` talks to nodes."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millrace.access import remote, sql
from millrace.console import CommandError, MillraceError, say
from millrace.model.current import current_environment
from millrace.verbs import updates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from millrace.model.commands import Figure, MetricFigure, StatusPage
    from millrace.model.validation import Environment

_LONGEST_PAUSE = 86_400  # seconds
# Seconds: the first batch of a new Spark application takes a while.
_SMOKE_PATIENCE = 600
_SMOKE_PAUSE = 3


@dataclass(frozen=True, slots=True)
class Section:
    """What an application's status page says now.

    ``figures`` is the row of its query, None where the database did not answer; ``metrics`` maps the label of
    each metric to its sum over the service's nodes, None where one of them did not answer. ``whole`` tells
    whether all its services are there, so that something can flow.
    """

    page: StatusPage
    figures: Mapping[str, Any] | None
    metrics: Mapping[str, float | None]
    whole: bool = True

    @property
    def flowing(self) -> bool:
        """Tell whether the column to wait for is above 0; a page that names none has nothing to wait for."""
        if not self.page.flowing or not self.whole:
            return True
        return self.figures is not None and float(self.figures[self.page.flowing] or 0) > 0


@dataclass(frozen=True, slots=True)
class Status:
    """One look at an environment.

    ``units`` maps service -> node -> systemd's state (``active``), None where the node did not answer;
    ``sections`` are those of the applications that have a status page and a service here.
    """

    nodes: Mapping[str, bool]
    units: Mapping[str, Mapping[str, str | None]]
    sections: Mapping[str, Section]

    @property
    def healthy(self) -> bool:
        """Tell whether every node answers and every unit is active."""
        states = [state for nodes in self.units.values() for state in nodes.values()]
        return all(self.nodes.values()) and all(state == "active" for state in states)

    @property
    def flowing(self) -> bool:
        """Tell whether data flows in every application."""
        return all(section.flowing for section in self.sections.values())


def collect(environment: Environment) -> Status:
    """Ask every node for its units, and the database and services for what the applications show."""
    nodes = environment.topology.nodes
    services = environment.catalogue.services
    on_node = {
        name: [service for service in services.values() if service.runs_on(node.groups)]
        for name, node in nodes.items()
    }
    # `systemctl is-active` exits non-zero when one unit is not active; its lines are what counts.
    asked = {
        name: ["sh", "-c", 'systemctl is-active -- "$@" || true', "sh", *(service.unit for service in mine)]
        for name, mine in on_node.items()
    }
    answers = remote.run_each(asked)
    units: dict[str, dict[str, str | None]] = {name: {} for name in services}
    for node, answer in answers.items():
        states = [None] * len(on_node[node]) if answer is None else answer.split()
        for service, state in zip(on_node[node], states, strict=True):
            units[service.name][node] = state
    return Status(
        nodes={name: answer is not None for name, answer in answers.items()},
        units=units,
        sections={
            name: Section(
                page,
                _figures(environment, name, page),
                _metrics(environment, page),
                whole=environment.whole(environment.applications[name]),
            )
            for name, page in pages(environment).items()
        },
    )


def pages(environment: Environment) -> dict[str, StatusPage]:
    """Return the status pages by application, of those that have one and a service in this environment.

    None where the environment has no database for them to ask.
    """
    if not environment.topology.members("timescaledb"):
        return {}
    return {
        name: application.status
        for name, application in environment.applications.items()
        if application.status and application.services.keys() & environment.catalogue.services.keys()
    }


def _figures(environment: Environment, application: str, page: StatusPage) -> Mapping[str, Any] | None:
    node = environment.topology.members("timescaledb")[0].name
    try:
        rows = sql.query(node, page.query, database=page.database)
    except CommandError:
        return None
    columns = [one.column for one in page.figures]
    if len(rows) != 1 or not rows[0].keys() >= set(columns):
        message = f"status.query of {application} must give one row with the columns {', '.join(columns)}"
        raise MillraceError(message)
    return rows[0]


def _metrics(environment: Environment, page: StatusPage) -> dict[str, float | None]:
    running = environment.catalogue.services
    return {one.label: _sum(environment, one) for one in page.metrics if one.service in running}


def _sum(environment: Environment, wanted: MetricFigure) -> float | None:
    service = environment.catalogue.services[wanted.service]
    if service.metrics is None:
        return None
    url = f"http://127.0.0.1:{service.ports[service.metrics.port].first}{service.metrics.path}"
    ask = ["curl", "-sf", "--noproxy", "*", "-m", "5", url]
    nodes = environment.topology.members(service.group)
    total = 0.0
    for answer in remote.run_each({node.name: ask for node in nodes}).values():
        found = None if answer is None else metric(answer, wanted.metric)
        if found is None:
            return None
        total += found
    return total


def metric(exposition: str, name: str) -> float | None:
    """Return the sum of a metric's samples in Prometheus' text format, None where it has none."""
    samples = [
        float(line.rsplit(" ", 1)[1])
        for line in exposition.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    ]
    return sum(samples) if samples else None


def render(status: Status) -> str:
    """Return the page."""
    missing = [name for name, answers in status.nodes.items() if not answers]
    lines = [
        f"nodes     {sum(status.nodes.values())} of {len(status.nodes)} answer{_named(missing)}",
        "services",
    ]
    for service, states in status.units.items():
        bad = [f"{node} {state or 'no answer'}" for node, state in states.items() if state != "active"]
        lines.append(f"  {service:<20}{len(states) - len(bad)} of {len(states)} active{_named(bad)}")
    for application, section in status.sections.items():
        lines += [application, *_shown(section)]
    return "\n".join(lines)


def _shown(section: Section) -> list[str]:
    """Return the lines of an application."""
    if section.figures is None:
        lines = ["  the database does not answer"]
    else:
        row = section.figures
        lines = [f"  {one.label:<20}{_number(row[one.column], one)}" for one in section.page.figures]
    for one in section.page.metrics:
        if one.label in section.metrics:
            value = section.metrics[one.label]
            said = f"{one.service} does not answer" if value is None else f"{value:,.0f} {one.unit}".rstrip()
            lines.append(f"  {one.label:<20}{said}")
    return lines


def _number(value: float | None, figure: Figure) -> str:
    """Return a column's value as the page shows it; NULL is no number."""
    return "-" if value is None else f"{value:,.{figure.decimals}f}"


def _named(names: Sequence[str]) -> str:
    return f"  ({', '.join(names)})" if names else ""


def main(_argv: list[str]) -> int:
    """Print the page once, or every WATCH seconds until interrupted; exit status 1 when something is down."""
    environment = current_environment()
    pause = _pause(os.environ.get("WATCH", ""))
    try:
        while True:
            status = collect(environment)
            if pause and sys.stdout.isatty():
                say("\x1b[2J\x1b[H")
            say(render(status))
            if not pause:
                # Not while watching: it takes a node about a second of its processor.
                say("\n".join(updates.render(updates.collect(status.nodes), datetime.now(UTC))))
                return 0 if status.healthy else 1
            time.sleep(pause)
    except KeyboardInterrupt:
        if not pause:
            raise
        return 0  # the way to end it


def _pause(watch: str) -> float:
    """Return the seconds between two pages, 0 for one page alone."""
    try:
        seconds = float(watch or 0)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST_PAUSE:
        message = (
            f"WATCH={watch} is no number of seconds up to {_LONGEST_PAUSE}; WATCH=10 shows a page every 10 s"
        )
        raise MillraceError(message)
    return seconds


def smoke_main(_argv: list[str]) -> int:
    """Wait until every unit is active and each application says that data flows, then print the page."""
    environment = current_environment()
    give_up = time.monotonic() + _SMOKE_PATIENCE
    while True:
        status = collect(environment)
        if status.healthy and status.flowing:
            say(render(status))
            return 0
        if time.monotonic() > give_up:
            say(render(status))
            message = f"waited {_SMOKE_PATIENCE} s for every unit to be active and data to flow"
            raise MillraceError(message)
        time.sleep(_SMOKE_PAUSE)
