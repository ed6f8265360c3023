"""SQL on the database node as its own superuser, over SSH: what the operator's tools ask."""

from __future__ import annotations

import json
from typing import Any

from millrace.access import remote

# -X: the server's start file for psql is none of our business; and psql must stop at the first error.
PSQL = ("sudo", "-u", "postgres", "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d")


def query(node: str, statement: str, *, database: str) -> list[dict[str, Any]]:
    """Return the rows of a SELECT as dicts of JSON values; raise CommandError when the statement fails."""
    wrapped = f"SELECT coalesce(json_agg(answer), '[]') FROM ({statement}) AS answer"  # noqa: S608 - our own text
    rows: list[dict[str, Any]] = json.loads(remote.run(node, [*PSQL, database, "-tAc", wrapped]))
    return rows


def execute(node: str, statement: str, *, database: str) -> str:
    """Run statements that return no rows and return psql's answer (such as ``DELETE 3``)."""
    return remote.run(node, [*PSQL, database, "-qtA"], stdin=statement).strip()
