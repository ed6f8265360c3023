"""Imports Ansible modules of ours, which are part of no package."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from millrace import paths

if TYPE_CHECKING:
    from types import ModuleType

MODULES = paths.repo_root() / "ansible" / "plugins" / "modules"


def load_module(name: str) -> ModuleType:
    """Import the Ansible module `name`, which is then among sys.modules, as its dataclasses need it."""
    spec = importlib.util.spec_from_file_location(name, MODULES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
