"""What the role timescaledb writes: settings that a further database leaves as they are."""

from __future__ import annotations

from typing import Any

import pytest
from test_small_clusters import rendered

# Those that PostgreSQL takes only at a start.
WORKERS = ("timescaledb.max_background_workers", "max_worker_processes")


def config(count: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - variables of a role
    """Return the server's settings with so many databases."""
    databases = [{"name": f"one{number}", "owner": f"owner{number}"} for number in range(count)]
    given = {
        "timescaledb_databases": databases,
        "timescaledb_memory": 1024,
        "__timescaledb_edition": "apache",
        **more,
    }
    found: dict[str, Any] = rendered("timescaledb", given, "{{ __timescaledb_config }}")
    return found


@pytest.mark.parametrize("count", [0, 2, 8])
def test_a_database_more_or_less_changes_no_setting(count: int) -> None:
    assert config(count) == config(1)


def test_there_are_workers_for_more_databases_than_were_foreseen() -> None:
    assert [int(config(9)[name]) - int(config(8)[name]) for name in WORKERS] == [1, 1]
    assert config(9) == config(1, timescaledb_databases_max=9)


def test_there_is_a_worker_for_each_scheduler_the_launcher_and_jobs() -> None:
    assert [int(config(1)[name]) for name in WORKERS] == [11, 16]
