"""Names, units and groups of an application: what the system would not take, or has already, is told."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
from declarations import DOORS, read

from millrace import paths
from millrace.model.applications import read_application
from millrace.model.names import APPLICATION, SERVICE
from millrace.yamlio import Reader

if TYPE_CHECKING:
    from pathlib import Path


def added(keys: str, value: object) -> dict[str, Any]:
    """Return the declaration with one key more; keys are parted by a slash, a dot is part of a key."""
    data = copy.deepcopy(DOORS)
    *path, last = keys.split("/")
    place: Any = data
    for key in path:
        place = place[key]
    place[last] = value
    return data


SECRET = {"kind": "password", "purpose": "x"}
WRONG: list[tuple[str, object, str]] = [
    ("secrets/Kafka-Doors", SECRET, "secrets.Kafka-Doors: the name of a secret is 1 to 63 lower-case"),
    ("secrets/1st", SECRET, "secrets.1st: the name of a secret is"),
    ("kafka/accounts/ANONYMOUS", "kafka_doors", "kafka.accounts.ANONYMOUS: the name of a Kafka account is"),
    ("kafka/accounts/a b", "kafka_doors", "kafka.accounts.a b: the name of a Kafka account is"),
    ("kafka/accounts/a_b", "kafka_doors", "kafka.accounts.a_b: the name of a Kafka account is"),
    ("databases/doors/accounts/Doors", "kafka_doors", "accounts.Doors: the name of a database's account is"),
    ("databases/doors/accounts/d-r", "kafka_doors", "accounts.d-r: the name of a database's account is"),
    ("databases/doors/accounts/postgres", "kafka_doors", "accounts.postgres: 'postgres' is taken by"),
    ("databases/doors/accounts/pg_doors", "kafka_doors", "accounts.pg_doors: 'pg_doors' is taken by"),
    ("databases/doors/accounts/public", "kafka_doors", "accounts.public: 'public' is taken by"),
    ("services/doors/program/user", "root", "services.doors.program.user: 'root' is taken by the system"),
    ("services/doors/program/user", "Doors", "services.doors.program.user: the name of a program's user is"),
    ("services/doors/unit", "door.service", "services.doors.unit: must be doors.service, since the program"),
    ("services/doors/unit", "doors", "services.doors.unit: must be doors.service, since the program has no"),
    ("services/doors/unit", "doors.timer", "services.doors.unit: must be doors.service"),
    ("services/doors/program/schedule", "daily", "services.doors.unit: must be doors.timer, since the"),
    ("services/doors/group", "all", "services.doors.group: 'all' is taken by the system or the platform"),
    ("services/doors/group", "operator", "services.doors.group: 'operator' is taken by"),
    ("services/doors/group", "Door nodes", "services.doors.group: the name of a group of nodes is"),
]


@pytest.mark.parametrize(("keys", "value", "problem"), WRONG)
def test_a_slip_is_told_with_its_key(services: Path, keys: str, value: object, problem: str) -> None:
    _, problems = read(services, added(keys, value))
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    "name",
    ["root", "postgres", "kafka", "nobody", "systemd-resolve", "a_b", "Doors", "a-", "1a", "", "a" * 32],
)
def test_a_service_is_called_so_that_its_user_and_unit_can_be(services: Path, name: str) -> None:
    data = copy.deepcopy(DOORS)
    data["services"][name] = data["services"]["doors"] | {"unit": f"{name}.service"}
    _, problems = read(services, data)
    assert [line.partition(": ")[0] for line in problems if "entry" not in line] == [f"services.{name}"]


@pytest.mark.parametrize("name", ["postgres", "template1", "Doors", "a-b", "", "a" * 64])
def test_a_database_is_called_so_that_postgresql_takes_it(services: Path, name: str) -> None:
    data = copy.deepcopy(DOORS)
    data["databases"][name] = {"owner": "other_owner", "accounts": {"other_owner": "kafka_doors"}}
    _, problems = read(services, data)
    assert [line.partition(": ")[0] for line in problems] == [f"databases.{name}"]


@pytest.mark.parametrize("name", ["shared", "platform", "python-service", "My App", "a_b"])
def test_a_folder_has_a_name_that_variables_and_tests_can_have(tmp_path: Path, name: str) -> None:
    reader = Reader()
    read_application(tmp_path / name, {"services": {}}, reader)
    assert [line.partition(": ")[0] for line in reader.problems] == ["folder"]


def test_no_variable_of_a_role_is_one_that_overrides_a_services_settings() -> None:
    text = "".join(path.read_text() for path in paths.repo_root().glob("roles/*/defaults/main.yml"))
    text += "".join(path.read_text() for path in paths.repo_root().glob("ansible/defaults/*.yml"))
    found = re.findall(r"^([a-z][a-z_]*)_(config|schedule|settings):", text, re.MULTILINE)
    assert found
    for name, kind in found:
        rule = APPLICATION if kind == "settings" else SERVICE
        assert name.replace("_", "-") in rule.taken
