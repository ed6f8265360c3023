"""What an application says of its programs: every slip is told before a node is contacted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from declarations import DOORS, changed, read

from millrace.model.schedules import is_schedule
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "services/doors/program/"
WRONG: list[tuple[str, object, str]] = [
    (
        PROGRAM + "memory_max",
        "256 MB",
        "services.doors.program.memory_max: must be a size such as 256M or 1G",
    ),
    (PROGRAM + "memory_max", "256", "services.doors.program.memory_max: must be a size such as 256M or 1G"),
    (PROGRAM + "memory_max", "0M", "services.doors.program.memory_max: must be a size such as 256M or 1G"),
    (PROGRAM + "description", "One.\nExecStart=/bin/sh", "program.description: must be one line without %"),
    (PROGRAM + "description", "100%", "services.doors.program.description: must be one line without %"),
    (PROGRAM + "description", "One \\", "services.doors.program.description: must be one line without %"),
    (PROGRAM + "entry", "dors", "services.doors.program.entry: must be one of [project.scripts] of "),
    (PROGRAM + "commands", ["count", "cuont"], "program.commands: must be one of [project.scripts] of "),
    (
        "services/doors/uses/spark",
        {"cores_max": 1, "driver_memory": "1 GB"},
        "services.doors.uses.spark.driver_memory: must be a size such as 512m or 1g, not '1 GB'",
    ),
]


@pytest.mark.parametrize(("keys", "value", "problem"), WRONG)
def test_a_slip_is_told_with_its_key(services: Path, keys: str, value: object, problem: str) -> None:
    _, problems = read(services, changed(keys, value))
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    "schedule",
    [
        "every now and then",
        "0 4 * * *",
        "25:00",
        "04:60",
        "Someday",
        "daily daily",
        "*-13-01",
        "*-*-32",
        "*",
        " ",
        "5..3:00",
        "*/0:00",
        "1.5:00",
        "Fri..Mon 10:00",
        "04:00:00:00",
        "*- 04:00",
    ],
)
def test_a_schedule_that_systemd_would_not_take_is_told(services: Path, schedule: str) -> None:
    data = changed(PROGRAM + "schedule", schedule)
    data["services"]["doors"]["unit"] = "doors.timer"
    (problem,) = read(services, data)[1]
    assert problem.startswith(
        f"services.doors.program.schedule: systemd takes no {schedule!r}; write such as"
    )


@pytest.mark.parametrize(
    "schedule",
    [
        "daily",
        "weekly UTC",
        "04:10",
        "*-*-* 00/6:25:00",
        "Mon *-*-* 04:10:00",
        "Mon..Fri 09:00",
        "*:*:00.5",
        "Mon,Wed *-*-01",
        "*-*~1",
        "*:0/15",
        "2026-11-26 10:00:00",
        "Sat,Sun 10..18/2:00",
        "*-*-1,15 03:00",
    ],
)
def test_what_systemd_takes_is_a_schedule(schedule: str) -> None:
    assert is_schedule(schedule)


def test_without_a_lock_make_locks_is_told(services: Path) -> None:
    lock = services / "doors" / "doors" / "requirements.lock"
    lock.unlink()
    assert read(services, DOORS)[1] == [
        f"services.doors.program.project: there is no {lock}: run `make locks`"
    ]


@pytest.mark.parametrize("content", ["[project", "", '[project]\nversion = "1"\n', "project = 1\n"])
def test_a_project_that_cannot_be_read_is_told(services: Path, content: str) -> None:
    path = services / "doors" / "doors" / "pyproject.toml"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match=f"^{path}: "):
        read(services, DOORS)
