"""A password in the settings: itself (`password`), or the name of a file that has it (`password_file`)."""

from __future__ import annotations

from pathlib import Path


def password_problems(password: str | None, password_file: str | None) -> list[str]:
    """Return what is wrong with the two keys, a line for a ConfigError each: exactly one must be given."""
    if (password is None) == (password_file is None):
        return ["password: give exactly one of password and password_file"]
    return []


def read_password(password: str | None, password_file: str | None) -> str:
    """Return the password, from the file (without its last line feed) if one is named; OSError without it."""
    if password_file is not None:
        return Path(password_file).read_text(encoding="utf-8").rstrip("\n")
    return password or ""
