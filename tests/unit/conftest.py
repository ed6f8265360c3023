"""Points Ansible at the repository's own configuration before it is imported, and sets up Hypothesis."""

from __future__ import annotations

import os

from hypothesis import settings

from millrace import paths

os.environ["ANSIBLE_CONFIG"] = str(paths.repo_root() / "ansible.cfg")

# How long an example takes says more about the machine than about the code.
settings.register_profile("millrace", deadline=None, database=None)
settings.load_profile("millrace")


def pytest_configure() -> None:
    """Make Ansible's plugins known; a second time would be a warning."""
    from ansible.plugins.loader import init_plugin_loader  # noqa: PLC0415 - only after the line above

    init_plugin_loader()
