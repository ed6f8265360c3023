"""What is deployed imports nothing of what only tests have."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from millrace import paths

if TYPE_CHECKING:
    from pathlib import Path

ROOT = paths.repo_root()


def imported(path: Path) -> set[str]:
    """Return the first names of all modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


def test_no_program_on_a_node_needs_a_module_of_the_tests() -> None:
    own = {
        path.stem for path in (ROOT / "tests" / "support").iterdir() if not path.name.startswith((".", "_"))
    }
    assert "sensors_oracle" in own
    programs = sorted(ROOT.glob("services/*/*/src/**/*.py"))
    assert {path.name for path in programs} >= {"app.py", "job.py"}
    found = {str(path.relative_to(ROOT)): sorted(imported(path) & own) for path in programs}
    assert {path: names for path, names in found.items() if names} == {}
