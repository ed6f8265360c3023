"""The filter scram_verifier, held against the example of RFC 7677."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
from typing import TYPE_CHECKING

import pytest
from ansible.errors import AnsibleFilterError

from millrace import paths

if TYPE_CHECKING:
    from types import ModuleType


def load_filter(name: str) -> ModuleType:
    """Import a file of filters, which is part of no package."""
    path = paths.repo_root() / "ansible" / "plugins" / "filter" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"millrace_filter_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scram = load_filter("scram")

# RFC 7677, section 3: user "user", password "pencil".
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
AUTH_MESSAGE = (
    f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}".encode()
)
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SERVER_SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def keys(verifier: str) -> tuple[bytes, bytes]:
    stored, server = verifier.split("$")[2].split(":")
    return base64.b64decode(stored), base64.b64decode(server)


def test_the_verifier_accepts_the_proof_of_the_standard() -> None:
    stored, server = keys(scram.verifier("pencil", SALT))
    signature = hmac.digest(stored, AUTH_MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(PROOF, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    assert hmac.digest(server, AUTH_MESSAGE, "sha256") == SERVER_SIGNATURE


def test_the_same_password_of_the_same_account_has_the_same_verifier() -> None:
    given = scram.FilterModule().filters()["scram_verifier"]
    assert given("pencil", "sensors_job") == given("pencil", "sensors_job")
    different = {
        given("pencil", "sensors_job"),
        given("pencil", "sensors_relay"),
        given("pen", "sensors_job"),
    }
    assert len({verifier.split("$")[1] for verifier in different}) == 3, "the salts are not all different"


def test_the_verifier_is_one_that_postgresql_takes_for_a_verifier() -> None:
    shape, salt, given_keys = scram.scram_verifier("s3cret/+=", "sensors_job").split("$")
    iterations, _, salt = salt.partition(":")
    assert (shape, iterations) == ("SCRAM-SHA-256", "4096")
    assert len(base64.b64decode(salt)) == 16
    assert [len(base64.b64decode(key)) for key in given_keys.split(":")] == [32, 32]


@pytest.mark.parametrize("password", ["", "pässword", "a\nb"])
def test_a_password_outside_ascii_is_refused_and_not_shown(password: str) -> None:
    with pytest.raises(AnsibleFilterError, match="sensors_job") as refusal:
        scram.scram_verifier(password, "sensors_job")
    assert not password or password not in str(refusal.value)
