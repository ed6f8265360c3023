"""Secrets are generated once, kept, and readable by their owner alone; the password script finds them."""

from __future__ import annotations

import base64
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace import paths
from millrace.model import secrets
from millrace.model.secret_kinds import KINDS
from millrace.yamlio import InvalidInputError, load_yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "millrace"


def vault() -> dict[str, str]:
    return secrets.read_vault(paths.state_dir("lab") / "vault.yml", paths.vault_password_file())


def printed_password() -> subprocess.CompletedProcess[str]:
    script = str(paths.repo_root() / "ansible" / "vault_password.py")
    return subprocess.run([script], capture_output=True, text=True, check=False)  # noqa: S603 - our own


def test_ensure_makes_every_secret_once(state: Path) -> None:
    kinds = secrets.load_kinds("lab")
    assert secrets.ensure("lab") == sorted(kinds)
    first = vault()
    assert first.keys() == kinds.keys()
    assert len(set(first.values())) == len(first)
    content = (state / "lab" / "vault.yml").read_bytes()
    assert secrets.ensure("lab") == []
    assert (state / "lab" / "vault.yml").read_bytes() == content
    for path in (state / "lab" / "vault.yml", state / "vault-password"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert content.startswith(b"$ANSIBLE_VAULT;")
    assert not [value for value in first.values() if value.encode() in content]
    assert sorted(path.name for path in (state / "lab").iterdir()) == ["vault.yml"]


def test_a_new_secret_is_added_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.ensure("lab")
    before = vault()
    kinds = {"kafka_new": "password", **dict.fromkeys(before, "password")}
    monkeypatch.setattr(secrets, "load_kinds", lambda _: kinds)
    assert secrets.ensure("lab") == ["kafka_new"]
    after = vault()
    assert after.pop("kafka_new")
    assert after == before


def test_a_lost_password_is_not_replaced(state: Path) -> None:
    secrets.ensure("lab")
    (state / "vault-password").rename(state / "elsewhere")
    with pytest.raises(InvalidInputError, match="vault-password: is missing, but vaults made with it exist"):
        secrets.ensure("lab")
    assert not (state / "vault-password").exists()
    (state / "vault-password").write_text("another")
    with pytest.raises(InvalidInputError, match=r"vault\.yml: can't be decrypted with the password in"):
        secrets.ensure("lab")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    secrets.write_private(target, b"old")

    def refuse(_: int) -> None:
        raise OSError

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError):  # noqa: PT011 - raised just above
        secrets.write_private(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_have_the_form_that_their_readers_expect(kind: str) -> None:
    for _ in range(300):
        value = secrets.generate(kind)
        if kind == "uuid":
            assert len(value) == 22
            assert len(base64.urlsafe_b64decode(value + "==")) == 16
            assert not value.startswith("-")
        else:
            assert len(value) == 32
            assert value.isalnum()
            assert value.isascii()


names = st.text("abc_", min_size=1)


@given(st.dictionaries(names, st.text()), st.dictionaries(names, st.sampled_from(KINDS)))
def test_existing_values_never_change(existing: dict[str, str], kinds: dict[str, str]) -> None:
    merged = secrets.with_missing(existing, kinds)
    assert merged.keys() == existing.keys() | kinds.keys()
    assert {name: merged[name] for name in existing} == existing
    assert list(merged) == sorted(merged)


def test_a_wrong_list_is_told(tmp_path: Path) -> None:
    (tmp_path / "ansible").mkdir()
    (tmp_path / "ansible" / "secrets.yml").write_text(
        "secrets: {a: {kind: pin, purpose: x}, b: {kind: uuid}}\n"
    )
    with pytest.raises(InvalidInputError) as caught:
        secrets.platform_kinds(tmp_path)
    assert caught.value.problems == (
        "secrets.a.kind: must be one of password, uuid, not 'pin'",
        "secrets.b.purpose: is missing",
    )


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert secrets.main(["ensure", "--env", "nowhere"]) == 1
    assert "there is no environment 'nowhere'; there are: " in capsys.readouterr().err
    assert secrets.main(["ensure", "--env", "lab"]) == 0
    assert "kafka_admin" in (shown := capsys.readouterr().out)
    assert not [value for value in vault().values() if value in shown]


def test_the_password_script_prints_the_password_and_makes_nothing(state: Path) -> None:
    assert printed_password().stdout == "no-vault-yet\n"
    assert not state.exists()
    secrets.ensure("lab")
    assert printed_password().stdout == (state / "vault-password").read_text()
    (state / "vault-password").write_text("\n")
    assert printed_password().returncode == 1
    assert "is empty; restore it" in printed_password().stderr


def test_who_is_said_to_use_a_secret_does() -> None:
    root = paths.repo_root()
    # What `make chaos` and `make bench` share with the end-to-end tests is in the folder of these.
    folders = {
        "chaos": ("chaos", "support"),
        "bench": ("bench", "support"),
        "end-to-end tests": ("support", "platform", "sensors"),
    }
    told: Any = load_yaml(root / "ansible" / "secrets.yml")
    for name, entry in told["secrets"].items():
        for user in re.findall(r"make ([a-z]+)|(end-to-end tests)", entry["purpose"]):
            verb = "".join(user)
            places = [root / "tests" / folder for folder in folders.get(verb, ())] or [root / "tools" / "src"]
            files = [path for place in places for path in place.rglob("*.py")]
            assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in files), f"{name}: {verb}"
