"""The vocabulary of artefacts: recipe, artefact, error, and how a client program is run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Runner = Callable[[Sequence[str], Path, Mapping[str, str]], "subprocess.CompletedProcess[str]"]
"""Runs a command (arguments, working directory, extra environment) and returns its result, failed or not."""

_KEPT_LINES = 12


class ArtifactError(Exception):
    """An artefact can't be had; the text says which, from which kind of source and what to do."""


@dataclass(frozen=True)
class Artifact:
    """An archive in the cache whose checksum was just verified."""

    name: str
    path: Path
    key: str
    """What it was made from: changes exactly when the recipe's inputs change (16 hexadecimal digits)."""
    sha256: str
    fetched: bool
    """Whether this call had to make it."""
    corrupt: bool
    """Whether the cache held a damaged entry, which this call replaced."""


class Recipe(Protocol):
    """How to make one archive."""

    @property
    def name(self) -> str:
        """Name of the artefact, unique over all recipes."""

    @property
    def source(self) -> str:
        """Kind of source it comes from, in words: ``Maven Central``, ``PyPI``."""

    @property
    def advice(self) -> str:
        """What to do when fetching fails."""

    def inputs(self) -> dict[str, str]:
        """Everything the content depends on, checksums for files; the key is a hash of it."""

    def make(self, tree: Path, work: Path, run: Runner) -> None:
        """Fetch and put the archive's content into ``tree`` (empty), with ``work`` for intermediate files."""


def key_of(recipe: Recipe) -> str:
    """Hash of a recipe's inputs, 16 hexadecimal digits."""
    inputs = {"recipe": type(recipe).__name__, "name": recipe.name, **recipe.inputs()}
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def run_command(
    command: Sequence[str], cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a client program without a terminal and keep what it says."""
    return subprocess.run(  # noqa: S603 - fixed programs, arguments from committed files, no shell
        command,
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_checked(run: Runner, command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output; a failure raises with the end of what it said."""
    try:
        done = run(command, cwd, env or {})
    except FileNotFoundError as error:
        message = f"the program {command[0]} isn't installed"
        raise ArtifactError(message) from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        wrong = [line for line in lines if "ERROR" in line] or lines[-_KEPT_LINES:]
        said = "\n  ".join(wrong[:_KEPT_LINES])
        message = f"{Path(command[0]).name} ended with status {done.returncode}:\n  {said}"
        raise ArtifactError(message)
    return done.stdout
