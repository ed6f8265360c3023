#!/usr/bin/env python3
"""Prints the password of the vaults, for Ansible's `vault_password_file`; creates nothing.

It uses the standard library alone, because Ansible starts it with whichever python3 comes first. The file is
made by `millrace secrets ensure`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# A clone without any environment has no vault, but Ansible asks for the password whatever it does: without
# this word, `ansible-playbook --syntax-check`, ansible-lint and molecule would fail there. It protects
# nothing: no secret is ever encrypted with it, as `millrace secrets ensure` makes a real password first.
NO_VAULT_YET = "no-vault-yet"


def password_file() -> Path:
    """Return where the password is: the same place as `millrace.paths.vault_password_file`."""
    value = os.environ.get("XDG_STATE_HOME", "")
    base = Path(value) if value.startswith("/") else Path.home() / ".local/state"
    return base / "millrace" / "vault-password"


def main() -> int:
    """Print the password, or the fixed word where there is none; 1 where it can't be read."""
    path = password_file()
    try:
        password = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        password = NO_VAULT_YET
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"{path}: the vault password can't be read: {error}\n")
        return 1
    if not password:
        sys.stderr.write(f"{path}: the vault password is empty; restore it from your backup\n")
        return 1
    sys.stdout.write(f"{password}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
