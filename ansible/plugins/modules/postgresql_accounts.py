#!/usr/bin/python
"""Ansible module: login roles of a PostgreSQL server, with SCRAM verifiers computed here.

The server only ever sees the verifier, so a clear password can stand in neither its log nor pg_stat_activity.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: postgresql_accounts
short_description: Login roles of a PostgreSQL server with SCRAM-SHA-256 passwords
description: Run it as the superuser's system account; it connects through the local socket.
options:
  users:
    description: The roles; each one can log in and has no other attribute.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {type: str, required: true, description: Name of the role.}
      password: {type: str, required: true, description: Password in printable ASCII.}
  port: {type: int, default: 5432, description: Port of the server (names the socket).}
"""

ITERATIONS = 4096
ROLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")


def scram_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """Return the verifier of RFC 5803 in PostgreSQL's notation, as stored in pg_authid.rolpassword."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    parts = (salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))
    encoded = [base64.b64encode(part).decode("ascii") for part in parts]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def verifier_matches(verifier: str | None, password: str) -> bool:
    """Tell whether a stored verifier was made from this password."""
    match = VERIFIER.fullmatch(verifier or "")
    if match is None:
        return False
    expected = scram_verifier(password, base64.b64decode(match[2]), int(match[1]))
    return hmac.compare_digest(expected, match[0])


def check_user(name: str, password: str) -> str | None:
    """Return what is wrong with an account's description, or None."""
    if not ROLE_NAME.fullmatch(name):
        return f"user {name!r}: a name is [a-z_][a-z0-9_]*, at most 63 characters"
    # Beyond ASCII the standard demands SASLprep; generated secrets never need it.
    if not password or not password.isascii() or not password.isprintable():
        return f"user {name!r}: the password must be printable ASCII and not empty"
    return None


def run(module: AnsibleModule) -> list[str]:
    """Create or correct the roles in one transaction; return the names of those that differed."""
    import psycopg2  # noqa: PLC0415 - the unit tests of the pure part need no driver
    from psycopg2 import sql  # noqa: PLC0415

    connection = psycopg2.connect(host="/var/run/postgresql", port=module.params["port"], dbname="postgres")
    differed = []
    with connection, connection.cursor() as cursor:
        for user in module.params["users"]:
            name, password = user["name"], user["password"]
            cursor.execute(
                "SELECT rolcanlogin, rolpassword, ARRAY[rolsuper, rolcreaterole, rolcreatedb, rolreplication,"
                " rolbypassrls] FROM pg_authid WHERE rolname = %s",
                (name,),
            )
            row = cursor.fetchone()
            if row and row[0] and not any(row[2]) and verifier_matches(row[1], password):
                continue
            differed.append(name)
            if module.check_mode:
                continue
            cursor.execute(
                sql.SQL(
                    "{verb} ROLE {name} WITH LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION"
                    " NOBYPASSRLS PASSWORD {verifier}"
                ).format(
                    verb=sql.SQL("ALTER" if row else "CREATE"),
                    name=sql.Identifier(name),
                    verifier=sql.Literal(scram_verifier(password, os.urandom(16))),
                )
            )
    connection.close()
    return differed


def main() -> None:
    """Entry point of the module."""
    user_spec = {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "users": {"type": "list", "elements": "dict", "required": True, "options": user_spec},
            "port": {"type": "int", "default": 5432},
        },
        supports_check_mode=True,
    )
    for user in module.params["users"]:
        if problem := check_user(user["name"], user["password"]):
            module.fail_json(msg=problem)
    differed = run(module)
    module.exit_json(changed=bool(differed), accounts=differed)


if __name__ == "__main__":
    main()
