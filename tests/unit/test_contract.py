"""The contract of the providers' outputs, and what is made of what `terraform test` says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millrace.providers import checks, contract

NODE = {"address": "192.0.2.1", "public": None, "data": {"kafka": "/dev/disk/by-id/wwn-0x5000"}}
JUMP = {"address": "192.0.2.2", "public": "198.51.100.1", "data": {}}
RIGHT = {"nodes": {"kafka-1": NODE, "jump": JUMP}, "bastions": ["jump"]}


def test_the_right_shape() -> None:
    assert contract.problems(RIGHT) == []


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ({**RIGHT, "nodes": {}}, "nodes: {} should be non-empty"),
        ({"nodes": {"kafka-1": NODE}}, "'bastions' is a required property"),
        ({**RIGHT, "more": 1}, "'more' was unexpected"),
        ({**RIGHT, "nodes": {"Kafka": NODE, "jump": JUMP}}, "'Kafka' does not match"),
        ({**RIGHT, "nodes": {"a": {**NODE, "address": "kafka"}, "jump": JUMP}}, "'kafka' is not a 'ipv4'"),
        ({**RIGHT, "nodes": {"a": {**NODE, "data": {"d": "/dev/sdb"}}, "jump": JUMP}}, "'/dev/sdb' does not"),
        (
            {**RIGHT, "nodes": {"a": {"address": "192.0.2.1"}, "jump": JUMP}},
            "'public' is a required property",
        ),
        ({**RIGHT, "bastions": ["kafka-1"]}, "'kafka-1' is not a node with a public address"),
        ({**RIGHT, "bastions": ["gone"]}, "'gone' is not a node with a public address"),
        ({}, "'nodes' is a required property"),
    ],
)
def test_a_wrong_shape_is_named(outputs: dict[str, Any], problem: str) -> None:
    found = contract.problems(outputs)
    assert any(problem in line for line in found), found


def lines(*messages: dict[str, Any]) -> str:
    return "\n".join(["not JSON", *map(json.dumps, messages)])


def test_outputs_are_those_of_the_run() -> None:
    applied = {"@testrun": "outputs", "test_state": {"outputs": {"nodes": {"value": 1}}}}
    planned = {"@testrun": "outputs", "test_plan": {"output_changes": {"bastions": {"after": 2}}}}
    other = {"@testrun": "disks", "test_state": {"outputs": {"nodes": {"value": 3}}}}
    assert checks.outputs_of_test(lines(applied, planned, other)) == {"nodes": 1, "bastions": 2}


def test_what_is_wrong_is_said_with_its_place() -> None:
    said = {
        "summary": "Test assertion failed",
        "detail": "why",
        "range": {"filename": "a", "start": {"line": 7}},
    }
    assert checks.diagnostics(lines({"type": "diagnostic", "diagnostic": said})) == [
        "a:7: Test assertion failed: why"
    ]
    assert checks.diagnostics("it crashed") == ["it crashed"]
