"""The generated secrets of an environment, kept in an Ansible vault outside the clone."""

from __future__ import annotations

import argparse
import base64
import fcntl
import os
import secrets
import string
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

from millrace import paths
from millrace.model.applications import load_applications
from millrace.model.secret_kinds import SecretKind, read_secret_kinds
from millrace.model.topology import load_topology
from millrace.yamlio import InvalidInputError, Reader, load_yaml, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PASSWORD_LENGTH = 32
_ALPHABET = string.ascii_letters + string.digits
_UUID_BYTES = 16


def platform_kinds(root: Path) -> dict[str, SecretKind]:
    """Read the platform's own secrets (ansible/secrets.yml), by name. Raises InvalidInputError."""
    reader = Reader()
    top = reader.fields(load_yaml(root / "ansible" / "secrets.yml"), "", ["secrets"])
    kinds = read_secret_kinds(reader, top.get("secrets", {}))
    reader.raise_if_any()
    return kinds


def load_kinds(env: str) -> dict[str, str]:
    """Return the secrets of an environment (name -> kind), the platform's and the applications'.

    Raises InvalidInputError.
    """
    root = paths.repo_root()
    topology = load_topology(root / "inventories" / env / "topology.yml")
    kinds = platform_kinds(root)
    for application in load_applications(root / "services").values():
        kinds |= application.secrets
    return {name: one.kind for name, one in kinds.items() if topology.disposable or not one.disposable}


def generate(kind: str) -> str:
    """Return a new secret: 32 letters and digits (190 bits), or 22 characters of base64 (128 bits)."""
    if kind == "password":
        return "".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH))
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(_UUID_BYTES)).decode("ascii").rstrip("=")
        # Kafka's command line would take one that begins with a hyphen for an option.
        if not text.startswith("-"):
            return text


def with_missing(existing: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the existing secrets unchanged, and new ones for the names not there yet; sorted by name."""
    made = {name: generate(kind) for name, kind in kinds.items() if name not in existing}
    return dict(sorted({**made, **existing}.items()))


def read_vault(vault: Path, password_file: Path) -> dict[str, str]:
    """Decrypt a vault. Raises InvalidInputError that names the file and what to do."""
    try:
        password = password_file.read_text(encoding="ascii").strip()
    except OSError as error:
        message = (
            f"{password_file}: can't be read, but {vault} needs it ({error}); restore it from your backup"
        )
        raise InvalidInputError([message]) from error
    try:
        text = _cipher(password).decrypt(vault.read_bytes()).decode("utf-8")
    except AnsibleError as error:
        message = f"{vault}: can't be decrypted with the password in {password_file}; restore the right one"
        raise InvalidInputError([message]) from error
    reader = Reader()
    content = reader.mapping(parse_yaml(text, str(vault)), str(vault))
    values = {name: reader.text(content, name, str(vault)) for name in content}
    reader.raise_if_any()
    return values


def ensure(env: str) -> list[str]:
    """Make the vault password and the environment's vault where they are missing, and add missing secrets.

    Returns the names of the secrets added, sorted. Existing ones never change; the files have mode 0600.
    Raises InvalidInputError.
    """
    kinds = load_kinds(env)
    state = paths.state_dir(env)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    vault, password_file = state / "vault.yml", paths.vault_password_file()
    with _lock(paths.state_root() / "secrets.lock"):
        if not password_file.exists():
            _refuse_orphans(password_file)
            write_private(password_file, f"{generate('password')}\n".encode())
        existing = read_vault(vault, password_file) if vault.exists() else {}
        wanted = with_missing(existing, kinds)
        added = sorted(wanted.keys() - existing.keys())
        if added:
            password = password_file.read_text(encoding="ascii").strip()
            plain = yaml.safe_dump(wanted, default_flow_style=False)
            write_private(vault, _cipher(password).encrypt(plain.encode()))
    return added


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once (never half written), readable by its owner alone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp gives mode 0600
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _cipher(password: str) -> VaultLib:
    return VaultLib([("default", VaultSecret(password.encode("ascii")))])


def _refuse_orphans(password_file: Path) -> None:
    """Refuse to go on where a new password would make existing vaults unreadable for good."""
    vaults = sorted(paths.state_root().glob("*/vault.yml"))
    if vaults:
        listed = ", ".join(str(vault) for vault in vaults)
        message = f"{password_file}: is missing, but vaults made with it exist: {listed}; restore or remove"
        raise InvalidInputError([message])


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time make secrets: two at once would each hand out values of their own."""
    with path.open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(argv: list[str] | None = None) -> int:
    """Run `millrace secrets ensure`."""
    parser = argparse.ArgumentParser(prog="millrace secrets", description="The secrets of an environment.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("ensure", help="generate the secrets that the environment's vault lacks")
    command.add_argument("--env", default=paths.environment(), help="the environment (default: %(default)s)")
    env = parser.parse_args(argv).env
    if env not in paths.environments():
        sys.stderr.write(
            f"ENV: there is no environment {env!r}; there are: {', '.join(paths.environments())}\n"
        )
        return 1
    try:
        added = ensure(env)
    except InvalidInputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"secrets: {f'generated {len(added)}: ' + ', '.join(added) if added else 'all there'}\n")
    return 0
