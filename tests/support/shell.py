"""What tests that call `make` share: they call it as from a shell, whatever make they run under."""

from __future__ import annotations

import os
import re


def environment() -> dict[str, str]:
    """Return the environment without what a make around the tests has put there.

    That is its flags and level, and the variables of its command line, which it exports: a ``NODE=`` given to
    the outer make would count for the inner one. ``ENV`` stays: the tests are about that environment.
    """
    given = set(re.findall(r"(?:^|(?<!\\) )(\w+)=", os.environ.get("MAKEFLAGS", ""))) - {"ENV"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in given and not name.startswith(("MAKE", "MFLAGS"))
    }


def said(stderr: str) -> list[str]:
    """Return the lines of a failed target's standard error that aren't make's own."""
    return [line for line in stderr.splitlines() if not line.startswith("make: ***")]
