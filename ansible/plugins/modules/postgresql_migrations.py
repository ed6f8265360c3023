#!/usr/bin/python
"""Ansible module: apply NNNN_name.sql files to a database, in order, once, and record them.

Each file and its record are one transaction, so a migration is either applied and recorded or neither.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENTATION = r"""
module: postgresql_migrations
short_description: Apply numbered SQL files to a PostgreSQL database
description:
  - Run it as the superuser's system account; it connects through the local socket and works as the owner.
  - Applied files are recorded in public.schema_migrations (name, sha256, applied_at).
  - A gap in the numbers, or an applied file that has changed or is gone, is an error that names it.
options:
  database: {type: str, required: true, description: Name of the database.}
  owner: {type: str, required: true, description: Role that the files run as.}
  migrations: {type: dict, required: true, description: File name to SQL text.}
  port: {type: int, default: 5432, description: Port of the server (names the socket).}
"""

FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# A file that ends the transaction itself would be applied without its record.
TRANSACTION = re.compile(
    r"^\s*(?:BEGIN|COMMIT|ROLLBACK|START\s+TRANSACTION)(?:\s+(?:WORK|TRANSACTION))?\s*;",
    re.IGNORECASE | re.MULTILINE,
)
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtext('millrace.schema_migrations'))"
EXISTS = "SELECT to_regclass('public.schema_migrations') IS NOT NULL"
APPLIED = "SELECT name, sha256 FROM public.schema_migrations"
RECORD = "INSERT INTO public.schema_migrations (name, sha256) VALUES (%s, %s)"


class MigrationError(Exception):
    """The files and what the database has recorded do not fit together."""


def digest(text: str) -> str:
    """Return the SHA-256 of a migration's text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def check_files(files: Mapping[str, str]) -> list[str]:
    """Return the file names in order; raise MigrationError for a bad name, a gap or a COMMIT in a file."""
    names = sorted(files)
    for number, name in enumerate(names, start=1):
        match = FILE_NAME.fullmatch(name)
        if match is None:
            message = f"{name}: a migration is called NNNN_name.sql (lower case, digits, underscores)"
            raise MigrationError(message)
        if int(match[1]) != number:
            message = f"{name}: the next number is {number:04d}; numbers have neither gaps nor repeats"
            raise MigrationError(message)
        if statement := TRANSACTION.search(files[name]):
            message = f"{name}: {statement[0].strip()!r} ends the transaction that records the migration"
            raise MigrationError(message)
    return names


def plan(files: Mapping[str, str], applied: Mapping[str, str]) -> list[str]:
    """Return the names still to apply, in order; `applied` maps a recorded name to its SHA-256.

    Raises MigrationError when an applied file has changed or is gone, or one before it is not recorded.
    """
    names = check_files(files)
    for name in sorted(applied):
        if name not in files:
            message = f"{name}: recorded in the database, but the file is gone"
            raise MigrationError(message)
        if digest(files[name]) != applied[name]:
            message = f"{name}: changed after it was applied; put the change in a new file"
            raise MigrationError(message)
    pending = [name for name in names if name not in applied]
    if pending and applied and pending[0] < max(applied):
        message = f"{pending[0]}: not applied, although {max(applied)} is"
        raise MigrationError(message)
    return pending


def recorded(cursor: Any) -> dict[str, str]:  # noqa: ANN401 - psycopg2 is only present on the nodes
    """Return recorded name -> SHA-256; empty where the table does not exist yet."""
    cursor.execute(EXISTS)
    if not cursor.fetchone()[0]:
        return {}
    cursor.execute(APPLIED)
    return dict(cursor.fetchall())


def apply_all(connection: Any, owner: str, files: Mapping[str, str], *, check_mode: bool) -> list[str]:  # noqa: ANN401
    """Apply what is pending, one transaction each; return the names (in check mode: only those)."""
    from psycopg2 import Error, sql  # noqa: PLC0415 - the unit tests of the pure part need no driver

    as_owner = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(owner))
    done: list[str] = []
    while True:
        # The plan is made anew under the transaction's lock, so two deploys at once are safe.
        with connection, connection.cursor() as cursor:
            if not check_mode:
                cursor.execute(as_owner)
                cursor.execute(LOCK)
            pending = plan(files, recorded(cursor))
            if check_mode or not pending:
                return pending if check_mode else done
            name = pending[0]
            cursor.execute(CREATE_TABLE)
            try:
                cursor.execute(files[name])
            except Error as error:
                message = f"{name}: {error}"
                raise MigrationError(message) from error
            # A file may set a role or a search path of its own; the record must not depend on it.
            cursor.execute(as_owner)
            cursor.execute(
                "INSERT INTO public.schema_migrations (name, sha256) VALUES (%s, %s)",
                (name, digest(files[name])),
            )
            done.append(name)


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "database": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "migrations": {"type": "dict", "required": True},
            "port": {"type": "int", "default": 5432},
        },
        supports_check_mode=True,
    )
    import psycopg2  # noqa: PLC0415

    try:
        check_files(module.params["migrations"])
        connection = psycopg2.connect(
            host="/var/run/postgresql", port=module.params["port"], dbname=module.params["database"]
        )
        applied = apply_all(
            connection, module.params["owner"], module.params["migrations"], check_mode=module.check_mode
        )
        connection.close()
    except MigrationError as error:
        module.fail_json(msg=f"database {module.params['database']}: {error}")
    module.exit_json(changed=bool(applied), applied=applied)


if __name__ == "__main__":
    main()
