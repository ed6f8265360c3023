"""The environment that the caller chose with ENV, loaded and validated, and choices among what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.console import MillraceError
from millrace.model.validation import Environment, disposable_problems, named_environment, problems_of
from millrace.paths import environment
from millrace.yamlio import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millrace.model.catalogue import Service
    from millrace.model.topology import Topology


def current_environment() -> Environment:
    """Return the environment; raise MillraceError with every problem of its topology or the catalogue."""
    try:
        return named_environment(environment())
    except InvalidInputError as error:
        raise MillraceError("\n".join(error.problems)) from error


def require_valid() -> None:
    """Raise MillraceError with the lines of `make validate` where the environment has mistakes.

    Ansible would tell them too, in its own words around them.
    """
    if problems := problems_of(environment()):
        raise MillraceError("\n".join(problems))


def require_disposable(topology: Topology) -> None:
    """Raise MillraceError with one line where tests must keep away because a node is not disposable."""
    for problem in disposable_problems(topology):
        raise MillraceError(problem)


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """Return ``name`` if it is known; raise MillraceError with one line that lists what is right."""
    names = list(known)
    if name not in names:
        said = f"no {kind.lower()} {name!r}" if name else f"{kind} is missing"
        message = f"{said}; {kind} is one of: {', '.join(names)}"
        raise MillraceError(message)
    return name


def chosen_service(environment_: Environment, name: str) -> Service:
    """Return a service of the catalogue by name, or raise MillraceError."""
    services = environment_.catalogue.services
    return services[choose("SERVICE", name, services)]
