"""Ansible reads all our YAML with our ansible.cfg: a key that stands twice in a mapping is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible.errors import AnsibleError
from rendering import ROOT, load

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = ("ansible", "inventories", "roles", "services")


def test_no_key_stands_twice() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.yml"))]
    assert ROOT / "roles" / "timescaledb" / "tasks" / "access.yml" in files
    for path in files:
        load(path)


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: &a {b: 1}\nc:\n  <<: *a\n  b: 2\n"])
def test_a_key_that_stands_twice_would_be_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "twice.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnsibleError, match="duplicate mapping key"):
        load(path)
