"""Structured logs: one JSON object per line on standard output, for the journal."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_CHATTY = ("kafka", "py4j")


class JsonFormatter(logging.Formatter):
    """Formats a record as {"time", "level", "logger", "message", "fields"?, "error"?} on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON; what JSON can't hold is shown as text."""
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if fields:
            event["fields"] = fields
        if record.exc_info:
            event["error"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str, ensure_ascii=False)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return `extra=` for a logging call, so that `values` appear under "fields"."""
    return {"fields": values}


def setup_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of the process as JSON lines to `stream` (standard output unless given).

    Client libraries stay at WARNING (INFO when `level` is DEBUG): their own debug logs show every message.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.INFO if level == "DEBUG" else logging.WARNING)
