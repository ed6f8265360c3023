"""What an application declares of HDFS: every slip is told before a node is contacted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from declarations import DOORS, changed, read

if TYPE_CHECKING:
    from pathlib import Path

WRONG: list[tuple[str, object, str]] = [
    ("path", "doors", "path: must be an absolute path such as /doors/in, not 'doors'"),
    ("path", "/doors/../lake", "path: must be an absolute path"),
    ("path", "/doors/", "path: must be an absolute path"),
    ("path", 7, "path: must be text"),
    ("path", "/", "path: / is the platform's; name a directory of the application's own"),
    ("path", "/lake", "path: /lake is the platform's"),
    ("mode", 750, 'mode: must be three or four octal digits in quotes, such as "0750", not 750'),
    ("mode", "0780", "mode: must be three or four octal digits"),
    ("mode", "rwxr-x---", "mode: must be three or four octal digits"),
    ("owner", None, "owner: must be text, not empty"),
    ("owner", "Doors Owner", "owner: must be the name of a user or a group"),
    ("group", ["doors"], "group: must be text"),
]


@pytest.mark.parametrize(("key", "value", "problem"), WRONG)
def test_a_slip_is_told_with_its_key(services: Path, key: str, value: object, problem: str) -> None:
    _, problems = read(services, changed(f"hdfs/directories/0/{key}", value))
    assert len(problems) == 1
    assert f"hdfs.directories[0].{problem}" in problems[0]


def test_what_is_right_comes_to_the_role_as_it_is_written(services: Path) -> None:
    application, problems = read(services, DOORS)
    assert problems == []
    assert [one.plain() for one in application.directories] == DOORS["hdfs"]["directories"]
