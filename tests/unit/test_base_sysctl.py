"""Role base's kernel parameters: those that a node's kernel does not have are left out, and named."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from rendering import FACTS, ROOT, load

ROLE = ROOT / "roles" / "base"
PARAMETERS = {"net.core.somaxconn": 4096, "net.ipv4.tcp_rmem": "4096 131072\t6291456", "vm.swappiness": 1}


def rendered(text: str, absent: set[str] | None = None, **more: Any) -> Any:  # noqa: ANN401 - whatever it makes
    """Render a template with the role's variables, on a node whose kernel has all but the absent ones."""
    results = [{"item": name, "stat": {"exists": name not in (absent or set())}} for name in PARAMETERS]
    variables = {
        **load(ROLE / "defaults" / "main.yml"),
        **load(ROLE / "vars" / "main.yml"),
        "ansible_managed": "written by a test",
        "ansible_facts": FACTS | {"virtualization_role": "host"},
        "base_sysctl": PARAMETERS,
        "__base_kernel": {"results": results},
        **more,
    }
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def written(absent: set[str]) -> list[str]:
    """Return the names of the parameters that the role's file sets."""
    text = rendered((ROLE / "templates" / "sysctl.conf.j2").read_text(encoding="utf-8"), absent)
    return [line.partition(" =")[0] for line in text.splitlines() if not line.startswith("#")]


def test_all_that_the_kernel_has_are_set() -> None:
    assert written(set()) == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_one_that_the_kernel_does_not_have_is_skipped_and_said(name: str) -> None:
    assert written({name}) == sorted(PARAMETERS.keys() - {name})
    assert rendered("{{ __base_sysctl_absent }}", {name}) == [name]


@pytest.mark.parametrize(("prefixes", "wanted"), [(["net."], 2), (["net.core."], 1), ([], 0), (["n.t."], 0)])
def test_a_container_asks_only_for_its_own(prefixes: list[str], wanted: int) -> None:
    given: dict[str, Any] = {"ansible_facts": FACTS, "base_container_sysctl_prefixes": prefixes}
    assert len(rendered("{{ __base_sysctl_wanted }}", **given)) == wanted


def test_values_are_compared_however_they_are_spaced() -> None:
    assert rendered("{{ __base_sysctl_values }}") == ["4096", "4096 131072 6291456", "1"]


def test_no_error_of_the_kernel_is_hidden() -> None:
    tasks = load(ROLE / "tasks" / "service.yml")
    apply = next(task for task in tasks if task["name"] == "Apply kernel parameters")
    assert "--ignore" not in apply["ansible.builtin.command"]
    assert "failed_when" not in apply
    assert "ignore_errors" not in apply
