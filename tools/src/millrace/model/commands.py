"""What an application shows and offers an operator: figures of `make status`, and everyday commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.model.make_variables import is_taken

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from millrace.yamlio import Reader

# A target of make, and a variable of it.
_COMMAND = re.compile(r"[a-z][a-z0-9-]*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_OPTION = re.compile(r"--?[A-Za-z0-9][A-Za-z0-9_-]*")
# A column of SQL without quotes, a metric of Prometheus, and what stands in one line of the status.
_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LINE = re.compile(r"\S([^\x00-\x1f\x7f]*\S)?")
_TARGETS = re.compile(r"^\.PHONY:(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the query's one row, and how it is shown."""

    column: str
    label: str
    decimals: int


@dataclass(frozen=True, slots=True)
class MetricFigure:
    """The sum of a metric's samples, as a service exposes it; `unit` is a word behind the number."""

    service: str
    metric: str
    label: str
    unit: str


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The figures of an application; `flowing` is the column that `make smoke` waits for to be above 0."""

    database: str
    query: str
    figures: tuple[Figure, ...]
    metrics: tuple[MetricFigure, ...]
    flowing: str


@dataclass(frozen=True, slots=True)
class Command:
    """`make NAME`: a command run as root on the node of a service; `options` map to variables of make."""

    name: str
    help: str
    service: str
    run: tuple[str, ...]
    options: Mapping[str, str]


def read_status(reader: Reader, value: object) -> StatusPage:
    """Return the page, noting what is wrong with it."""
    fields = reader.fields(value, "status", ["database", "query", "figures"], ["metrics", "flowing"])
    figures = []
    for index, item in enumerate(reader.items(fields.get("figures", []), "status.figures")):
        where = f"status.figures[{index}]"
        one = reader.fields(item, where, ["column", "label"], ["decimals"])
        decimals = reader.integer(one, "decimals", where, 0, 9)
        column = _matching(reader, one, "column", where, _COLUMN, "a column of the query in lower case")
        figures.append(Figure(column, _line(reader, one, "label", where), decimals))
    metrics = []
    for index, item in enumerate(reader.items(fields.get("metrics", []), "status.metrics")):
        where = f"status.metrics[{index}]"
        one = reader.fields(item, where, ["service", "metric", "label"], ["unit"])
        metrics.append(
            MetricFigure(
                service=reader.text(one, "service", where),
                metric=_matching(reader, one, "metric", where, _METRIC, "the name of a Prometheus metric"),
                label=_line(reader, one, "label", where),
                unit=_line(reader, one, "unit", where),
            )
        )
    flowing = reader.text(fields, "flowing", "status")
    labels = [one.label for one in figures] + [one.label for one in metrics]
    for index, label in enumerate(labels):
        if label in labels[:index]:
            reader.add("status", f"two figures have the label {label!r}")
    columns = [figure.column for figure in figures]
    for index, column in enumerate(columns):
        if column and column in columns[:index]:
            reader.add(f"status.figures[{index}].column", f"{column!r} is shown already; keep one")
    if flowing and flowing not in columns:
        reader.add("status.flowing", f"must be one of {', '.join(columns)}, not {flowing!r}")
    database, query = (reader.text(fields, key, "status") for key in ("database", "query"))
    return StatusPage(database, query, tuple(figures), tuple(metrics), flowing)


def read_commands(reader: Reader, value: object, services: Collection[str]) -> dict[str, Command]:
    """Return the commands by name, noting what is wrong with them."""
    commands = {}
    for name, item in reader.mapping(value, "commands").items():
        where = f"commands.{name}"
        if not _COMMAND.fullmatch(name):
            reader.add(where, "a command's name is lower-case letters, digits and hyphens")
        fields = reader.fields(item, where, ["help", "service", "run"], ["options"])
        options = reader.mapping(fields.get("options", {}), f"{where}.options")
        for option in options:
            variable = reader.text(options, option, f"{where}.options")
            place = f"{where}.options.{option}"
            if not _OPTION.fullmatch(option):
                reader.add(place, "an option is such as --from")
            if variable and not _VARIABLE.fullmatch(variable):
                reader.add(place, f"must be a variable such as FROM, not {variable!r}")
            elif is_taken(variable):
                reader.add(
                    place, f"{variable} is a variable of make's or of the shell's; choose another name"
                )
        if fields.get("run") == []:
            reader.add(f"{where}.run", "must be a command and its words, such as [history]")
        commands[name] = Command(
            name=name,
            help=_line(reader, fields, "help", where),
            service=reader.choice(fields, "service", where, services),
            run=reader.texts(fields, "run", where),
            options={option: str(variable) for option, variable in options.items()},
        )
    return commands


def _matching(  # noqa: PLR0913, PLR0917 - a field, and what it must be
    reader: Reader, fields: Mapping[str, object], key: str, where: str, pattern: re.Pattern[str], right: str
) -> str:
    text = reader.text(fields, key, where)
    if text and not pattern.fullmatch(text):
        reader.add(f"{where}.{key}", f"must be {right}, not {text!r}")
    return text


def _line(reader: Reader, fields: Mapping[str, object], key: str, where: str) -> str:
    return _matching(reader, fields, key, where, _LINE, "one line without blanks around it")


def targets(root: Path) -> list[str]:
    """Return the targets of the Makefile in `root`, in the order of the file; none where there is no file."""
    path = root / "Makefile"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [name for line in _TARGETS.findall(text) for name in line.split()]
