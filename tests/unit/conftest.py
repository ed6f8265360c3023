"""Sets the environment: no variable of make's, the repository's ansible.cfg, and Hypothesis' profile."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from millrace import paths

if TYPE_CHECKING:
    from pathlib import Path

# What make passes on is for its own verbs: `make test ENV=mini YES=1` must not change what these tests see.
(EXPORTED,) = re.findall(r"^export ([A-Z ]+)$", (paths.repo_root() / "Makefile").read_text(), re.MULTILINE)
for name in EXPORTED.split():
    os.environ.pop(name, None)

os.environ["ANSIBLE_CONFIG"] = str(paths.repo_root() / "ansible.cfg")

# How long an example takes says more about the machine than about the code.
settings.register_profile("millrace", deadline=None, database=None)
settings.load_profile("millrace")


def pytest_configure() -> None:
    """Make Ansible's plugins known; a second time would be a warning."""
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415 - only after the line above

    init_plugin_loader()


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """Return a folder services/ with the Python project of the doors (declarations.py) in it."""
    project = tmp_path / "services" / "doors" / "doors"
    project.mkdir(parents=True)
    scripts = '[project.scripts]\ndoors = "doors:main"\ncount = "doors:count"\n'
    (project / "pyproject.toml").write_text(f'[project]\nname = "doors"\nversion = "1"\n{scripts}')
    (project / "requirements.lock").write_text("")
    return tmp_path / "services"
