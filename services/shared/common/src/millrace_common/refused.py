"""What Kafka has refused for good, for an operator: list it, have it sent once more, or delete it."""

from __future__ import annotations

import sqlite3
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from millrace_common.buffer import BufferFileError, lock
from millrace_common.bufferfile import BufferFile
from millrace_common.service import run_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from millrace_common.service import S


def command(
    parser: argparse.ArgumentParser,
    settings_type: type[S],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run the command of a service whose settings have a `buffer`; 1 and a line if the file can't be used."""
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--again", action="store_true", help="send them once more, at the service's next start"
    )
    action.add_argument("--drop", action="store_true", help="delete them")

    def run(options: argparse.Namespace, settings: S, _stop: object) -> int:
        path = Path(settings.buffer.path)  # type: ignore[attr-defined] # see above
        try:
            return _handle(path, again=options.again, drop=options.drop)
        except BufferFileError as error:
            sys.stderr.write(f"{error}: stop the service first\n")
        except sqlite3.Error as error:
            sys.stderr.write(f"{path}: can't be read: {error}\n")
        return 1

    return run_command(parser, settings_type, run, arguments)


def _handle(path: Path, *, again: bool, drop: bool) -> int:
    if not path.exists():
        sys.stderr.write(f"{path}: there is no buffer yet\n")
        return 1
    # A list may be read while the service runs; what it has counted may not be changed behind its back.
    guard = lock(path) if again or drop else None
    file = BufferFile(path)
    try:
        found = file.refusals()
        if again:
            file.again(time.time())
        elif drop:
            file.drop()
    finally:
        file.close()
        if guard is not None:
            guard.close()
    done = "to be sent again: " if again else "deleted: " if drop else ""
    for topic, reason, count, last in found:
        moment = datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds")
        sys.stdout.write(f"{done}{topic}: {count} messages, the last at {moment}: {reason}\n")
    if not found:
        sys.stdout.write("nothing was refused\n")
    return 0
