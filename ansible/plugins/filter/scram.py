"""Filter for the role timescaledb: the verifier under which PostgreSQL keeps a password."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = """
name: scram_verifier
short_description: SCRAM-SHA-256 verifier of an account's password
description:
  - C(password | scram_verifier(account)) gives what PostgreSQL stores for the account. The server needs no
    more than that, so a clear password reaches neither its node nor its log.
  - The same password of the same account always gives the same verifier: a second deploy changes nothing.
"""

ITERATIONS = 4096
_SALT_LENGTH = 16


def scram_verifier(password: str, account: str) -> str:
    """Return the verifier of an account's password.

    Raises AnsibleFilterError, which does not show the password.
    """
    # Beyond ASCII the standard demands SASLprep; generated secrets never need it.
    if not password or not password.isascii() or not password.isprintable():
        message = f"account {account!r}: the password must be printable ASCII and not empty"
        raise AnsibleFilterError(message)
    # A random salt would give another verifier at each deploy. To guess from this one is as slow as to guess
    # from the verifier itself.
    salt = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), account.encode(), ITERATIONS, _SALT_LENGTH)
    return verifier(password, salt)


def verifier(password: str, salt: bytes) -> str:
    """Return the verifier of RFC 5803 in PostgreSQL's notation, as stored in pg_authid.rolpassword."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    parts = (salt, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))
    encoded = [base64.b64encode(part).decode("ascii") for part in parts]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filter by its name in templates."""
        return {"scram_verifier": scram_verifier}
