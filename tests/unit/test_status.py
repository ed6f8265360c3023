"""The page of `make status` and what `make smoke` waits for, as the applications declare them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from millrace.access import remote, sql
from millrace.console import CommandError, MillraceError
from millrace.model.applications import Application
from millrace.model.commands import Figure, MetricFigure, StatusPage
from millrace.model.validation import Environment, named_environment
from millrace.verbs import status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LAB = named_environment("lab")
SENSORS = LAB.applications["sensors"]
ROW = {"per_second": 15, "stored": 1234567, "duplicates": 0, "rejected": 2, "anomalies": 3, "outbox": 0}
DOORS = StatusPage("doors", "SELECT 1 AS open", (Figure("open", "open doors", 0),), (), "")


def environment(*, doors: StatusPage = DOORS, service: str = "sensors-relay") -> Environment:
    """Return the lab with an application `doors` beside that of the sensors."""
    other = Application("doors", SENSORS.folder, services={service: {}}, status=doors)
    return replace(LAB, applications={"sensors": SENSORS, "doors": other})


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """Let every unit be active and each database give its rows, which the test may change."""
    found: dict[str, list[dict[str, Any]]] = {"sensors": [dict(ROW)], "doors": [{"open": 4}]}

    def each(commands: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
        return {
            node: "sensors_job_lag_messages 7\n" if command[0] == "curl" else "active\n" * (len(command) - 4)
            for node, command in commands.items()
        }

    def query(_node: str, _statement: str, *, database: str) -> list[dict[str, Any]]:
        if database not in found:
            raise CommandError(["psql"], 2, "down")
        return found[database]

    monkeypatch.setattr(remote, "run_each", each)
    monkeypatch.setattr(sql, "query", query)
    return found


@pytest.mark.usefixtures("rows")
def test_the_page_of_the_sensors_is_as_it_always_was() -> None:
    page = status.render(status.collect(LAB)).splitlines()
    assert page[page.index("sensors") :] == [
        "sensors",
        "  readings a second   15.0",
        "  rows stored         1,234,567",
        "  duplicates          0",
        "  anomalies           3",
        "  rejects             2",
        "  waiting in outbox   0",
        "  lag                 7 messages",
    ]


def test_each_application_has_a_section_and_a_silent_database_is_told(
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    del rows["sensors"]
    page = status.render(status.collect(environment())).splitlines()
    assert page[page.index("sensors") + 1 :] == [
        "  the database does not answer",
        "  lag                 7 messages",
        "doors",
        "  open doors          4",
    ]


@pytest.mark.usefixtures("rows")
def test_an_application_without_a_service_here_is_left_out() -> None:
    seen = status.collect(environment(service="sensors-replay"))
    assert list(seen.sections) == ["sensors"]


@pytest.mark.usefixtures("rows")
def test_without_a_database_there_is_no_section_and_nothing_to_wait_for() -> None:
    nodes = {"kafka-1": LAB.topology.nodes["kafka-1"]}
    services = {"kafka": LAB.catalogue.services["kafka"]}
    # Of an application whose services need no database.
    generator = replace(
        LAB.catalogue, services=services | {"sensors-generator": LAB.catalogue.services["kafka"]}
    )
    seen = status.collect(replace(LAB, topology=replace(LAB.topology, nodes=nodes), catalogue=generator))
    assert seen.sections == {}
    assert seen.healthy
    assert seen.flowing


@pytest.mark.parametrize(
    ("left_out", "whole"), [((), True), (("sensors-generator",), False), (("sensors-replay",), True)]
)
def test_an_application_of_which_a_part_is_missing_has_nothing_that_flows(
    rows: dict[str, list[dict[str, Any]]], left_out: tuple[str, ...], *, whole: bool
) -> None:
    rows["sensors"][0]["per_second"] = 0
    running = {name: one for name, one in LAB.catalogue.services.items() if name not in left_out}
    seen = status.collect(replace(LAB, catalogue=replace(LAB.catalogue, services=running)))
    assert seen.flowing is not whole


@pytest.mark.usefixtures("rows")
def test_without_hdfs_what_needs_it_is_not_missed() -> None:
    hdfs = {"hdfs-namenode", "hdfs-datanode"}
    gone = hdfs | {"sensors-lake", "sensors-profile"}
    running = {name: one for name, one in LAB.catalogue.services.items() if name not in gone}
    assert replace(LAB, catalogue=replace(LAB.catalogue, services=running)).whole(SENSORS)
    running = {name: one for name, one in LAB.catalogue.services.items() if name not in gone - hdfs}
    assert not replace(LAB, catalogue=replace(LAB.catalogue, services=running)).whole(SENSORS)


@pytest.mark.usefixtures("rows")
def test_a_silent_service_is_told_and_one_without_nodes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = (
        MetricFigure("sensors-generator", "sent", "sent", ""),
        MetricFigure("sensors-replay", "lag", "behind", "s"),
    )
    monkeypatch.setattr(remote, "run_each", lambda commands: dict.fromkeys(commands, None))
    seen = status.collect(environment(doors=replace(DOORS, metrics=metrics)))
    page = status.render(seen).splitlines()
    assert page[-1] == "  sent                sensors-generator does not answer"
    assert not seen.healthy


@pytest.mark.parametrize(("rate", "flows"), [(0, False), (0.1, True), (None, False)])
def test_data_flows_once_each_application_says_so(
    rows: dict[str, list[dict[str, Any]]], rate: float | None, *, flows: bool
) -> None:
    rows["sensors"][0]["per_second"] = rate
    # The doors have nothing to wait for.
    assert status.collect(environment()).flowing is flows
    rows["doors"][0]["open"] = 0
    assert not status.collect(environment(doors=replace(DOORS, flowing="open"))).flowing


@pytest.mark.parametrize("wrong", [[], [{}], [{"open": 1}, {"open": 2}]])
def test_a_query_that_does_not_give_the_columns_is_told(
    rows: dict[str, list[dict[str, Any]]], wrong: list[dict[str, Any]]
) -> None:
    rows["doors"] = wrong
    with pytest.raises(
        MillraceError, match=r"status\.query of doors must give one row with the columns open"
    ):
        status.collect(environment())
