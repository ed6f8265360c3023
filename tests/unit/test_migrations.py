"""What the module postgresql_migrations decides: order, gaps, changed files, forbidden statements."""

from __future__ import annotations

import pytest
from plugin_modules import load_module

migrations = load_module("postgresql_migrations")

FIRST = {"0001_first.sql": "CREATE TABLE a ();"}
BOTH = FIRST | {"0002_second.sql": "CREATE TABLE b ();"}


def recorded(files: dict[str, str]) -> dict[str, str]:
    return {name: migrations.digest(text) for name, text in files.items()}


def test_an_empty_database_gets_all_in_order() -> None:
    files = dict(reversed(BOTH.items()))
    assert migrations.plan(files, {}) == ["0001_first.sql", "0002_second.sql"]


def test_only_what_is_missing_is_applied() -> None:
    assert migrations.plan(BOTH, recorded(FIRST)) == ["0002_second.sql"]
    assert migrations.plan(BOTH, recorded(BOTH)) == []


def test_no_files_and_nothing_recorded_is_fine() -> None:
    assert migrations.plan({}, {}) == []


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"1_first.sql": ""}, "1_first.sql"),
        ({"0001_First.sql": ""}, "0001_First.sql"),
        ({"0001_first.txt": ""}, "0001_first.txt"),
        (FIRST | {"0003_third.sql": ""}, "0003_third.sql: the next number is 0002"),
        (FIRST | {"0001_other.sql": ""}, "0001_other.sql: the next number is 0002"),
        ({"0000_zero.sql": ""}, "0000_zero.sql: the next number is 0001"),
    ],
)
def test_a_wrong_name_or_a_gap_is_named(files: dict[str, str], named: str) -> None:
    with pytest.raises(migrations.MigrationError, match=named):
        migrations.plan(files, {})


def test_a_changed_file_is_named() -> None:
    changed = BOTH | {"0001_first.sql": "CREATE TABLE a (id int);"}
    with pytest.raises(migrations.MigrationError, match=r"0001_first\.sql: changed"):
        migrations.plan(changed, recorded(FIRST))


def test_a_vanished_file_is_named() -> None:
    with pytest.raises(migrations.MigrationError, match=r"0002_second\.sql: recorded"):
        migrations.plan(FIRST, recorded(BOTH))


def test_a_hole_in_the_records_is_named() -> None:
    second = {"0002_second.sql": migrations.digest(BOTH["0002_second.sql"])}
    with pytest.raises(migrations.MigrationError, match=r"0001_first\.sql: not applied"):
        migrations.plan(BOTH, second)


@pytest.mark.parametrize(
    "statement", ["COMMIT;", "begin;", "  ROLLBACK WORK;", "START TRANSACTION;", "BEGIN WORK ;"]
)
def test_a_file_may_not_end_its_transaction(statement: str) -> None:
    with pytest.raises(migrations.MigrationError, match=r"0001_first\.sql: .*ends the transaction"):
        migrations.plan({"0001_first.sql": f"CREATE TABLE a ();\n{statement}\n"}, {})


def test_a_block_in_a_procedural_language_is_no_transaction() -> None:
    block = "DO $$\nBEGIN\n    EXECUTE 'SELECT 1';\nEND\n$$;\n"
    assert migrations.plan({"0001_first.sql": block}, {}) == ["0001_first.sql"]


def test_the_digest_is_of_the_bytes() -> None:
    assert migrations.digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert migrations.digest("é") != migrations.digest("e")
