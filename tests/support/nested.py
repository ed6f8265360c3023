"""Unit tests that need something which is there only beside a lab: run from an end-to-end test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from millrace import paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOB_TESTS = "services/sensors/job/tests"


def passes(tests: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run files of tests with more in the environment; AssertionError unless all pass and none is skipped."""
    ran = subprocess.run(  # noqa: S603 - our own argv
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *tests],
        cwd=paths.repo_root(),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^\d+ passed in", ran.stdout, re.MULTILINE), ran.stdout
