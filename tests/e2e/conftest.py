"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import probe
import pytest

from millrace.model.current import require_disposable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Their checks are shared by tests, and tell as much when they fail as theirs.
pytest.register_assert_rewrite("judged", "stored")


@pytest.fixture(scope="session", autouse=True)
def disposable() -> None:
    """Keep the tests from nodes whose data must last."""
    require_disposable(probe.ENVIRONMENT.topology)


@pytest.fixture
def sensors() -> Iterator[probe.Sensors]:
    """Give a test sensors of its own, with the job running; every trace is removed afterwards."""
    with probe.own_sensors() as own:
        yield own
