"""What the module postgresql_reload says of a server's settings and files."""

from __future__ import annotations

from plugin_modules import load_module

postgresql_reload = load_module("postgresql_reload")


def test_a_reload_names_what_differs() -> None:
    assert postgresql_reload.differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


def test_a_reload_names_file_and_line() -> None:
    rows = [("/etc/pg_hba.conf", 3, "invalid connection type"), ("/etc/pg_hba.conf", 4, "end of line")]
    assert postgresql_reload.describe_errors(rows).splitlines() == [
        "/etc/pg_hba.conf:3: invalid connection type",
        "/etc/pg_hba.conf:4: end of line",
    ]
