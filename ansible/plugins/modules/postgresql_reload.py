#!/usr/bin/python
"""Ansible module: make a PostgreSQL server read its files again, and say what it needs a restart for.

Wrong files are found before anything is reloaded, so the running server keeps its last good settings.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCUMENTATION = r"""
module: postgresql_reload
short_description: Reload a PostgreSQL server's configuration and report what waits for a restart
description:
  - Run it as the superuser's system account; it connects through the local socket.
  - Fails, naming file and line, when postgresql.conf or pg_hba.conf have errors.
  - Changed means that a setting has another value than before the reload.
options:
  port: {type: int, default: 5432, description: Port of the server (names the socket).}
  timeout: {type: int, default: 60, description: Seconds to wait for the server to have read its files.}
"""

# pg_file_settings can't tell a wrong value from one that needs a restart; the server's own program can.
PROGRAM = "SELECT setting || '/postgres', current_setting('config_file') FROM pg_config WHERE name = 'BINDIR'"
HBA_ERRORS = "SELECT file_name, line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL"
SETTINGS = "SELECT name, setting FROM pg_settings"
PENDING = "SELECT name FROM pg_settings WHERE pending_restart ORDER BY name"


def describe_errors(rows: Sequence[tuple[str, int, str]]) -> str:
    """Return one line for each error (file, line, error)."""
    return "\n".join(f"{file}:{line}: {error}" for file, line, error in rows)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the sorted names of the settings whose value differs."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def fetch(cursor: Any, query: str) -> list[Any]:  # noqa: ANN401 - psycopg2 is only present on the nodes
    """Run a query without parameters and return its rows."""
    cursor.execute(query)
    return list(cursor.fetchall())


def reload(cursor: Any, timeout: int) -> bool:  # noqa: ANN401
    """Ask for a reload; return whether this session has seen it within the limit (in seconds)."""
    before = fetch(cursor, "SELECT pg_conf_load_time()")
    cursor.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + timeout
    while fetch(cursor, "SELECT pg_conf_load_time()") == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={"port": {"type": "int", "default": 5432}, "timeout": {"type": "int", "default": 60}},
        supports_check_mode=True,
    )
    import psycopg2  # noqa: PLC0415 - the unit tests of the pure part need no driver

    connection = psycopg2.connect(host="/var/run/postgresql", port=module.params["port"], dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        program, config = fetch(cursor, PROGRAM)[0]
        status, _, errors = module.run_command([program, "-C", "config_file", "-c", f"config_file={config}"])
        if status != 0 or (errors := describe_errors(fetch(cursor, HBA_ERRORS))):
            module.fail_json(msg=f"the server would refuse its files:\n{errors}")
        before = dict(fetch(cursor, SETTINGS))
        if not module.check_mode and not reload(cursor, module.params["timeout"]):
            module.fail_json(msg=f"the server did not read its files in {module.params['timeout']} s")
        changed = differences(before, dict(fetch(cursor, SETTINGS)))
        pending = [name for (name,) in fetch(cursor, PENDING)]
    connection.close()
    module.exit_json(changed=bool(changed), settings=changed, pending_restart=pending)


if __name__ == "__main__":
    main()
