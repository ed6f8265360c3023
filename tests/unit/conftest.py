"""Points Ansible at the repository's own configuration, before anything imports Ansible."""

from __future__ import annotations

import os

from millrace import paths

os.environ["ANSIBLE_CONFIG"] = str(paths.repo_root() / "ansible.cfg")
