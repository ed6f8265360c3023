"""The progress on disk, replaced as a whole: a crash at any moment leaves the old one or the new one."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

from sensors_replay.timeline import Progress, Timeline

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = ("first", "until", "hour", "time", "interval")


class StoreError(RuntimeError):
    """The file holds no progress; the text says what to do."""


class Store:
    """Keeps one Progress in a file."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet; the folder must be there, the file need not."""
        self._path = path

    def load(self) -> Progress | None:
        """Return what was saved last, None where nothing was; StoreError for anything else in the file."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            found = json.loads(text)
            first, until, hour, time, interval = (int(found[name]) for name in _FIELDS)
            if not (0 <= first <= until and interval > 0):
                raise ValueError(text)  # noqa: TRY301 - the same message as for what can't be read
        except (ValueError, KeyError, TypeError) as error:
            message = (
                f"{self._path}: holds no progress: {text[:80]!r}; delete it to replay from the first hour"
            )
            raise StoreError(message) from error
        return Progress(Timeline(hour, time, interval), first, until)

    def save(self, progress: Progress) -> None:
        """Write `progress`; it is on the disk when this returns (OSError if it can't be)."""
        values = {"first": progress.first, "until": progress.until, **dataclasses.asdict(progress.timeline)}
        new = self._path.with_name(f"{self._path.name}.new")
        with new.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself
        finally:
            os.close(folder)
