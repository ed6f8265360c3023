"""Each role's argument specification, defaults and README say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from millrace import paths
from millrace.verbs import role_docs

if TYPE_CHECKING:
    from pathlib import Path

ROLES = role_docs.role_folders(paths.repo_root())
GOOD = {"web_port": {"type": "int", "default": 80, "description": "The port."}}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_specification_defaults_and_readme_agree(role: Path) -> None:
    assert role_docs.check_role(role) == []


@pytest.mark.parametrize(
    ("spec", "defaults", "told"),
    [
        (GOOD, {"web_port": 80, "__web_x": 1}, None),
        (GOOD, {"web_port": 81}, "web_port has another default in meta/argument_specs.yml"),
        (GOOD, {"web_port": "80"}, "web_port has another default"),
        (GOOD, {}, "web_port is neither required nor in defaults/main.yml"),
        (GOOD, {"web_port": 80, "web_user": "x"}, "web_user is in defaults/main.yml, but not in"),
        ({"port": {"type": "int", "required": True, "description": "x"}}, {}, "port must begin with web_"),
        ({"web_a": {"type": "int", "required": True}}, {}, "web_a has no description"),
        (
            {"web_a": {"type": "int", "required": True, "description": "x"}},
            {"web_a": 1},
            "web_a is required, so it must have no default",
        ),
        (
            {"web_a": {"type": "str", "default": "one  two", "description": "x"}},
            {"web_a": "one two\n"},
            None,
        ),
    ],
)
def test_differences_are_told(
    spec: dict[str, dict[str, object]], defaults: dict[str, object], told: str | None
) -> None:
    found = list(role_docs.compare("web", spec, defaults))
    assert len(found) == (0 if told is None else 1)
    assert told is None or found[0].startswith(told)


def test_the_readme_has_a_row_for_every_option_and_those_below_it() -> None:
    text = role_docs.render(
        "web",
        {
            "main": {
                "short_description": "A web server",
                "description": ["Serves pages | files."],
                "options": {
                    "web_sites": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        "description": ["The <sites>.", "At least one | two."],
                        "options": {"name": {"type": "str", "default": "no", "description": "Its name."}},
                    },
                    "web_tls": {"type": "bool", "default": True, "description": "TLS?", "choices": [True]},
                    "web_dir": {"type": "path", "default": "{{ x }}", "description": "Where."},
                },
            },
            "job": {"short_description": "A job"},
        },
    )
    assert "# web\n\nA web server.\n\nServes pages | files.\n" in text
    assert "| `web_sites` | list of dict | **required** | The &lt;sites>. At least one \\| two. |" in text
    assert '| `web_sites[].name` | str | `"no"` | Its name. |' in text
    assert "| `web_tls` | bool | `true` | TLS? One of `true`. |" in text
    assert text.endswith("\n# tasks_from: job\n\nA job.\n\n## Variables\n\nNone.\n")
    assert "| `web_dir` | path | `{{ x }}` | Where. |" in text


def test_check_writes_nothing_and_the_command_writes_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    role = tmp_path / "roles" / "web"
    (role / "tasks").mkdir(parents=True)
    (role / "meta").mkdir()
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    assert role_docs.main([]) == 1
    assert "argument_specs.yml: can't be read" in capsys.readouterr().err
    (role / "meta" / "argument_specs.yml").write_text("argument_specs: {main: {short_description: X}}\n")
    assert role_docs.main(["--check"]) == 1
    assert "roles/web/README.md: is not up to date; run millrace role-docs" in capsys.readouterr().err
    assert not (role / "README.md").exists()
    assert role_docs.main([]) == 0
    assert role_docs.main(["--check"]) == 0
