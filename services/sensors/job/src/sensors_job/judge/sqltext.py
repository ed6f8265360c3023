"""Text and number literals for Spark SQL expressions."""

from __future__ import annotations

import math


def text(value: str) -> str:
    r"""Return `value` as a Spark SQL string literal, quotes and backslashes escaped."""
    for character, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\t", "\\t"), ("\n", "\\n")):
        value = value.replace(character, escaped)
    return f"'{value}'"


def number(value: float) -> str:
    """Return the finite `value` as a DOUBLE literal that reads back as the same number."""
    if not math.isfinite(value):
        message = f"not a finite number: {value}"
        raise ValueError(message)
    return f"{value!r}D"
