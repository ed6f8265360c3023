"""What the module postgresql_accounts computes: SCRAM verifiers, held against the example of RFC 7677."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from plugin_modules import load_module

accounts = load_module("postgresql_accounts")
postgresql_reload = load_module("postgresql_reload")

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
    stored, server = keys(accounts.scram_verifier("pencil", SALT))
    signature = hmac.digest(stored, AUTH_MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(PROOF, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    assert hmac.digest(server, AUTH_MESSAGE, "sha256") == SERVER_SIGNATURE


def test_a_verifier_matches_its_own_password_only() -> None:
    verifier = accounts.scram_verifier("pencil", SALT, 5000)
    assert accounts.verifier_matches(verifier, "pencil")
    assert not accounts.verifier_matches(verifier, "pencil2")


@pytest.mark.parametrize("stored", [None, "", "md5c3f7e2", "SCRAM-SHA-256$4096:x"])
def test_what_is_no_verifier_never_matches(stored: str | None) -> None:
    assert not accounts.verifier_matches(stored, "pencil")


@pytest.mark.parametrize("name", ["", "Admin", "a-b", "1a", "a" * 64, 'a"; DROP'])
def test_a_wrong_name_is_named(name: str) -> None:
    assert repr(name) in (accounts.check_user(name, "secret") or "")


@pytest.mark.parametrize("password", ["", "pässword", "a\nb"])
def test_a_password_outside_ascii_is_refused_and_not_shown(password: str) -> None:
    problem = accounts.check_user("sensors_job", password)
    assert problem is not None
    assert "sensors_job" in problem
    assert not password or password not in problem


def test_a_good_account_has_no_problem() -> None:
    assert accounts.check_user("sensors_job", "s3cret/+=") is None


def test_a_reload_names_what_differs() -> None:
    assert postgresql_reload.differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


def test_a_reload_names_file_and_line() -> None:
    rows = [("/etc/pg_hba.conf", 3, "invalid connection type"), ("/etc/pg_hba.conf", 4, "end of line")]
    assert postgresql_reload.describe_errors(rows).splitlines() == [
        "/etc/pg_hba.conf:3: invalid connection type",
        "/etc/pg_hba.conf:4: end of line",
    ]
