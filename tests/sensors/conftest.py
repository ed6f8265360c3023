"""What the tests of this folder share with those of the others that run on nodes."""

from __future__ import annotations

import pytest

# Their checks are shared by tests, and tell as much when they fail as theirs.
pytest.register_assert_rewrite("judged", "stored")

from lab_fixtures import disposable, sensors  # noqa: E402 - after the line above, which is about what it imports

__all__ = ["disposable", "sensors"]
