"""Fixtures of the tests that run on an environment's nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import probe
import pytest

from millrace.model.current import require_disposable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def disposable() -> None:
    """Keep the tests from nodes whose data must last."""
    require_disposable(probe.ENVIRONMENT.topology)


@pytest.fixture
def sensors() -> Iterator[probe.Sensors]:
    """Give a test sensors of its own, with the job running; every trace is removed afterwards."""
    with probe.own_sensors() as own:
        yield own
