"""The folder of migrations: what a deploy would refuse on the node is told before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from declarations import changed, read

if TYPE_CHECKING:
    from pathlib import Path

SQL = b"CREATE TABLE opened ();\n"
GOOD = {"0001_tables.sql": SQL, "0002_more.sql": SQL}


def told(services: Path, files: dict[str, bytes]) -> list[str]:
    """Return what is told of these migrations of the doors, without the folder's path."""
    folder = services / "doors" / "sql"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    problems = read(services, changed("databases/doors/migrations", "sql"))[1]
    return [problem.replace(str(folder), "sql") for problem in problems]


WRONG: list[tuple[dict[str, bytes], str]] = [
    ({}, "sql must have a file such as 0001_tables.sql"),
    ({"README.md": b"x"}, "sql/README.md must be a file NNNN_name.sql"),
    ({"0003_Rules.sql": SQL}, "sql/0003_Rules.sql must be a file NNNN_name.sql"),
    ({"3_rules.sql": SQL}, "sql/3_rules.sql must be a file NNNN_name.sql"),
    (
        {"0004_rules.sql": SQL},
        "sql/0004_rules.sql must have the number 0003: there are no gaps and no repeats",
    ),
    ({"0002_rules.sql": SQL}, "sql/0002_rules.sql must have the number 0003"),
    ({"0003_rules.sql": b" \n"}, "sql/0003_rules.sql must not be empty"),
    ({"0003_rules.sql": b"-- \xff\n"}, "sql/0003_rules.sql must be readable and UTF-8"),
    ({"0003_rules.sql": b"SELECT 1;\nCOMMIT;\n"}, "sql/0003_rules.sql must not have 'COMMIT;'"),
]


@pytest.mark.parametrize(("files", "problem"), WRONG)
def test_a_slip_is_told_with_its_file(services: Path, files: dict[str, bytes], problem: str) -> None:
    (only,) = told(services, (GOOD | files) if files else {})
    assert only.startswith(f"databases.doors.migrations: {problem}")


def test_numbered_files_are_right_and_hidden_ones_no_matter(services: Path) -> None:
    assert told(services, GOOD | {".0001_tables.sql.swp": b""}) == []


def test_migrations_are_a_folder_and_a_script_is_a_file(services: Path) -> None:
    (services / "doors" / "one.sql").write_bytes(SQL)
    (problem,) = read(services, changed("databases/doors/migrations", "one.sql"))[1]
    assert problem.endswith("one.sql must be a folder of NNNN_name.sql files")
    (problem,) = read(services, changed("databases/doors/community_script", "doors"))[1]
    assert problem.startswith("databases.doors.community_script: ")
    assert problem.endswith("doors must be a file")
