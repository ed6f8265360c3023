"""``millrace status``: what runs, and what flows, on one page. Only ``collect`` talks to nodes."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.access import remote, sql
from millrace.console import CommandError, MillraceError, say
from millrace.model.current import current_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from millrace.model.validation import Environment

# Readings whose event time lies in these ten seconds: late enough that all of them have been stored.
_FIGURES = """
SELECT (SELECT count(*) FROM sensors.measurements
        WHERE event_time >= now() - interval '20 s'
          AND event_time < now() - interval '10 s') / 10.0 AS per_second,
       (SELECT coalesce(sum(stored), 0) FROM sensors.counts) AS stored,
       (SELECT coalesce(sum(duplicates), 0) FROM sensors.counts) AS duplicates,
       (SELECT coalesce(sum(rejected), 0) FROM sensors.counts) AS rejected,
       (SELECT count(*) FROM sensors.anomalies) AS anomalies,
       (SELECT count(*) FROM sensors.outbox) AS outbox
"""

_LONGEST_PAUSE = 86_400  # seconds
# Seconds: the first batch of a new Spark application takes a while.
_SMOKE_PATIENCE = 600
_SMOKE_PAUSE = 3


@dataclass(frozen=True, slots=True)
class Status:
    """One look at an environment.

    ``units`` maps service -> node -> systemd's state (``active``), None where the node did not answer;
    ``figures`` holds readings a second and row counts, None where the database did not answer; ``lag`` counts
    messages in Kafka that the job has not committed, None where the job did not answer.
    """

    nodes: Mapping[str, bool]
    units: Mapping[str, Mapping[str, str | None]]
    figures: Mapping[str, Any] | None
    lag: float | None

    @property
    def healthy(self) -> bool:
        """Tell whether every node answers and every unit is active."""
        states = [state for nodes in self.units.values() for state in nodes.values()]
        return all(self.nodes.values()) and all(state == "active" for state in states)


def collect(environment: Environment) -> Status:
    """Ask every node for its units, the database for its figures and the job for its lag."""
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
        figures=_figures(environment),
        lag=_lag(environment),
    )


def _figures(environment: Environment) -> Mapping[str, Any] | None:
    node = environment.topology.members("timescaledb")[0].name
    try:
        return sql.query(node, _FIGURES)[0]
    except CommandError:
        return None


def _lag(environment: Environment) -> float | None:
    service = environment.catalogue.services["sensors-job"]
    if service.metrics is None:
        return None
    node = environment.topology.members(service.group)[0].name
    port = service.ports[service.metrics.port].first
    url = f"http://127.0.0.1:{port}{service.metrics.path}"
    try:
        return metric(
            remote.run(node, ["curl", "-sf", "--noproxy", "*", "-m", "5", url]), "sensors_job_lag_messages"
        )
    except CommandError:
        return None


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
    lines.append("sensors")
    if status.figures is None:
        lines.append("  the database does not answer")
    else:
        figures = status.figures
        lines.append(f"  {'readings a second':<20}{float(figures['per_second']):.1f}")
        lines += [
            f"  {text:<20}{int(figures[key]):,}"
            for key, text in (
                ("stored", "rows stored"),
                ("duplicates", "duplicates"),
                ("anomalies", "anomalies"),
                ("rejected", "rejects"),
                ("outbox", "waiting in outbox"),
            )
        ]
    lag = "the job does not answer" if status.lag is None else f"{status.lag:,.0f} messages"
    return "\n".join([*lines, f"  {'lag':<20}{lag}"])


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
    """Wait until every unit is active and readings are being stored, then print the page."""
    environment = current_environment()
    give_up = time.monotonic() + _SMOKE_PATIENCE
    while True:
        status = collect(environment)
        if status.healthy and status.figures and float(status.figures["per_second"]) > 0:
            say(render(status))
            return 0
        if time.monotonic() > give_up:
            say(render(status))
            message = f"waited {_SMOKE_PATIENCE} s for every unit to be active and readings to be stored"
            raise MillraceError(message)
        time.sleep(_SMOKE_PAUSE)
