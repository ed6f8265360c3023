"""What of each process counts for which service."""

from __future__ import annotations

import json

from millrace.verbs.footprint import Footprint, Process, footprints, parse, render

SERVICES = {("a", "kafka.service"): "kafka", ("b", "kafka.service"): "kafka", ("b", "x.service"): "x"}


def test_the_processes_of_a_service_add_up_over_nodes() -> None:
    first = {
        ("a", "1@5"): Process("kafka.service", 900, 10.0),
        ("b", "1@7"): Process("kafka.service", 900, 1.0),
        ("b", "2@7"): Process("cron.service", 10, 0.5),
    }
    last = {
        ("a", "1@5"): Process("kafka.service", 1024, 12.5),
        ("b", "1@7"): Process("kafka.service", 2048, 2.25),
        ("b", "2@7"): Process("cron.service", 512, 0.5),
    }
    assert footprints(first, last, 10.0, SERVICES) == [
        Footprint("kafka", 3.0, 0.375),
        Footprint("system", 0.5, 0.0),
    ]


def test_a_process_with_the_number_of_one_that_ended_is_not_taken_for_it() -> None:
    first = {("b", "3@7"): Process("x.service", 1024, 100.0)}
    last = {("b", "3@9"): Process("x.service", 1024, 1.0)}
    assert footprints(first, last, 10.0, SERVICES) == [Footprint("x", 1.0, 0.0)]


def test_a_unit_counts_only_on_the_nodes_of_its_service() -> None:
    last = {("a", "9@1"): Process("x.service", 1024, 1.0)}
    assert footprints({}, last, 1.0, SERVICES) == [Footprint("system", 1.0, 0.0)]


def test_reading_and_printing() -> None:
    sample = parse("a", json.dumps([["1@5", "kafka.service", 2048, 1.5]]))
    assert sample == {("a", "1@5"): Process("kafka.service", 2048, 1.5)}
    lines = render(footprints({}, sample, 1.0, SERVICES)).splitlines()
    assert [line.split()[0] for line in lines] == ["service", "kafka", "all"]
    assert lines[-1].split() == ["all", "2", "0.00"]
