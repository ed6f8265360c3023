"""Mitogen's linear strategy, from wherever the tool environment has Mitogen (docs/adr/0008-mitogen.md)."""

from __future__ import annotations

from ansible.errors import AnsibleError
from ansible.plugins.strategy.linear import StrategyModule as Linear

try:
    from ansible_mitogen.strategy import StrategyMixin
except ImportError as error:
    message = (
        "Mitogen isn't installed beside this ansible-playbook: take that of .venv/bin (make tools), "
        "or do without it, at about a third of the speed: ANSIBLE_STRATEGY=linear"
    )
    raise AnsibleError(message) from error

DOCUMENTATION = """
name: mitogen_linear
short_description: Runs tasks as the strategy linear does, in one long-lived Python process on each node
description:
  - The same order of tasks and hosts as with C(linear). Modules are imported once into a process on the node
    and run in forks of it, in place of a new interpreter that unpacks and compiles each of them anew.
  - C(ANSIBLE_STRATEGY=linear) runs a playbook without it.
"""


class StrategyModule(StrategyMixin, Linear):  # type: ignore[misc] # neither has type hints
    """Ansible's linear strategy, whose connections and modules are Mitogen's."""
