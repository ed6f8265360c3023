"""Terraform's own checks of every provider: valid, tested, and with outputs of one shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from millrace.console import CommandError, MillraceError, say
from millrace.paths import repo_root
from millrace.providers import contract, mirror
from millrace.providers.terraform import Terraform, required

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(root: Terraform) -> dict[str, Any]:
    """Validate a configuration and run its tests; return what its test `outputs` ended with."""
    root.obtain_provider()
    root.call("validate", "-no-color")
    try:
        said = root.call("test", "-json", "-verbose")
    except CommandError as error:
        raise MillraceError("\n".join(diagnostics(error.output))) from error
    return outputs_of_test(said)


def _messages(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def diagnostics(text: str) -> list[str]:
    """Return what `terraform test -json` said was wrong: where, what, and in which words of the test."""
    found = []
    for message in _messages(text):
        if message.get("type") == "diagnostic":
            said = message["diagnostic"]
            place = said.get("range", {})
            where = f"{place.get('filename', '?')}:{place.get('start', {}).get('line', '?')}"
            found.append(f"{where}: {said['summary']}: {said.get('detail', '')}".strip())
    return found or [text]


def outputs_of_test(text: str, run: str = "outputs") -> dict[str, Any]:
    """Return the values of the outputs that a run of `terraform test -json -verbose` ended with."""
    values: dict[str, Any] = {}
    for message in _messages(text):
        if message.get("@testrun") == run:
            # A test that applies ends with a state, and one that only plans with what would change.
            applied = message.get("test_state", {}).get("outputs", {})
            planned = message.get("test_plan", {}).get("output_changes", {})
            values |= {name: output.get("value") for name, output in applied.items()}
            values |= {name: change.get("after") for name, change in planned.items()}
    return values


def roots() -> list[Terraform]:
    """Return Terraform for every provider's root, without any environment."""
    data = repo_root() / ".cache" / "terraform"
    binary = required()
    folders = sorted((repo_root() / "terraform" / "providers").iterdir())
    return [Terraform(binary, folder, data / folder.name) for folder in folders]


def check_main(_argv: list[str]) -> int:
    """Validate and test the plan and every root, whose outputs must keep the contract; return 0."""
    plan = repo_root() / "terraform" / "modules" / "plan"
    check(Terraform(required(), plan, repo_root() / ".cache" / "terraform" / "plan"))
    say("plan: valid, tested")
    for root in roots():
        if wrong := contract.problems(check(root)):
            raise MillraceError("\n".join(f"{root.config.name}: outputs: {problem}" for problem in wrong))
        say(f"{root.config.name}: valid, tested, and of the contract's shape")
    return 0


def providers_main(_argv: list[str]) -> int:
    """Fetch or build the provider of every root; return 0."""
    for root in roots():
        root.obtain_provider()
        pinned = mirror.required(root.config)
        say(f"{root.config.name}: {f'{pinned.source} {pinned.version}' if pinned else 'needs none'}")
    return 0
