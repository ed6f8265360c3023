"""The long verbs, each a sequence of phases: up, test and molecule. Standard library only.

They start with the system's Python: the first phase may have to install what the tool environment needs.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from millrace.console import INTERRUPTED, MillraceError, Phases, say, stream, stream_checked, stream_lines
from millrace.machine import sudo
from millrace.model import lasting
from millrace.paths import cache_dir, environment, repo_root, state_dir, wrong_environment
from millrace.providers.lab import incus
from millrace.verbs import durations, scenarios

ROOT = repo_root()
TOOLS = ROOT / ".venv" / "bin"
# Its three rounds strike a daemon, a node and the network.
CHAOS_SEED = 45


def _millrace(*words: str) -> None:
    stream_checked([TOOLS / "millrace", *words])


def _bootstrap() -> None:
    stream_checked([sys.executable, "-m", "millrace.machine.bootstrap"])


def _tool_environment() -> None:
    stream_checked(["make", "--no-print-directory", "tools"], cwd=ROOT)


def deploy_command() -> list[str]:
    """Return the command that configures the nodes by the roles; LIMIT= and TAGS= narrow it."""
    words = [
        str(TOOLS / "ansible-playbook"),
        "-i",
        f"inventories/{environment()}",
        "ansible/playbooks/site.yml",
    ]
    for option, variable in (("--limit", "LIMIT"), ("--tags", "TAGS")):
        if os.environ.get(variable):
            words += [option, os.environ[variable]]
    return words


def _prepare(phases: Phases) -> None:
    with phases.phase("bootstrap"):
        _bootstrap()
    with phases.phase("tool environment"):
        _tool_environment()
    with phases.phase("validate"):
        _millrace("validate")


def _raise_lab(phases: Phases) -> None:
    with phases.phase("provision"):
        _millrace("provision")
    with phases.phase("deploy"):
        _millrace("secrets", "ensure")
        stream_checked(deploy_command(), cwd=ROOT)
    with phases.phase("smoke"):
        _millrace("smoke")


def up(phases: Phases) -> None:
    """From whatever state the machine is in to a running lab."""
    _prepare(phases)
    _raise_lab(phases)


def where() -> str:
    """Say where things are."""
    env = environment()
    return "\n".join(
        (
            f"  nodes      make status; make ssh NODE=<name>; ssh -F {state_dir() / 'ssh_config'} <name>",
            f"  state      {state_dir()} (SSH key, vault, certificates, Terraform's state)",
            f"  caches     {cache_dir()} (image, downloads)",
            f"  inventory  inventories/{env}/topology.yml and ansible/catalogue.yml",
            "  data       make psql; `make consume` and `make logs` list what there is to follow",
        )
    )


def _tests_on_the_lab() -> None:
    """Run the tests of the nodes, and beside them those that leave the nodes alone, whose output is last."""
    # The tests on nodes import what they share, the oracles among it, and the projects of the applications.
    places = [ROOT / "tests" / "support", *sorted(ROOT.glob("services/*/*/src"))]
    env = {"PYTHONPATH": ":".join(map(str, places))}
    # An application's tests are in a folder of its name.
    applications = sorted(path.parent.name for path in ROOT.glob("services/*/application.yml"))
    own = [f"tests/{name}" for name in applications if (ROOT / "tests" / name).is_dir()]
    folders = ["tests/testinfra", "tests/platform", *own]
    tests = [str(TOOLS / "pytest"), "--durations=20", *folders, "-m"]
    said: list[str] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Two processes must not write one cache.
        beside = [*tests, "apart", "-p", "no:cacheprovider"]
        apart = pool.submit(stream_lines, beside, said.append, env=env, cwd=ROOT)
        try:
            status = stream([*tests, "not apart"], env=env, cwd=ROOT)
        finally:
            status_apart = apart.result()
            say("\n".join(["==> the tests beside them", *said]))
    if status or status_apart:
        msg = f"pytest ended with {status} on the lab, and with {status_apart} beside; see above"
        raise MillraceError(msg)


def test(phases: Phases) -> None:
    """All tests: without nodes, then of a lab that a second deploy must leave as it is."""
    if refused := lasting.refused():
        raise MillraceError(refused)
    # The checks' tools need packages too: asked for here, where it is seen, and on a machine that will do.
    _prepare(phases)
    _millrace("validate", "--disposable")
    with phases.phase("check"):
        # Two of its parts at a time, each part's output in one piece.
        stream_checked(["make", "--no-print-directory", "-j2", "--output-sync=target", "check"], cwd=ROOT)
    _raise_lab(phases)
    with phases.phase("idempotence test"):
        _bootstrap()
        _millrace("idempotence")
    with phases.phase("tests on the lab"):
        _tests_on_the_lab()
    with phases.phase("faults while data flows"):
        rounds = ["ROUNDS=3", f"SEED={CHAOS_SEED}", "NAIVE=1"]
        stream_checked(["make", "--no-print-directory", "chaos", *rounds], cwd=ROOT)


def molecule(phases: Phases) -> None:
    """Run the roles' scenarios, with the lab stopped meanwhile so that both fit the machine."""
    roles = scenarios.chosen(os.environ.get("ROLE", ""))
    jobs = scenarios.at_once()
    _prepare(phases)
    _millrace("image")
    project = incus.project_name(environment())
    pause = any(instance.status == "Running" for instance in incus.instances(project))
    outcomes: dict[str, scenarios.Outcome] = {}
    try:
        if pause:
            _millrace("down")
        with phases.phase("scenarios"):
            outcomes = scenarios.run(roles, jobs)
    finally:
        scenarios.clear(roles)
        # Also a lab of which `down` stopped a part only.
        if pause:
            _millrace("start")
    for role, outcome in outcomes.items():
        say(f"  {role:<20}{outcome}")
    failed = [role for role, outcome in outcomes.items() if outcome.status != 0]
    if failed:
        msg = f"molecule failed for: {', '.join(failed)}"
        raise MillraceError(msg)


VERBS = {"up": up, "test": test, "molecule": molecule}


def main(argv: list[str]) -> int:
    """Run a verb and print how long each of its phases took, also when one fails."""
    if wrong := wrong_environment():
        say(wrong)
        return 2
    phases = Phases()
    status = 0
    start, when = durations.starting_point(), datetime.now(UTC).isoformat(timespec="seconds")
    began = time.monotonic()
    try:
        with sudo.kept_fresh():
            VERBS[argv[0]](phases)
        if argv[0] == "up":
            say(where())
    except MillraceError as error:
        say(f"make {argv[0]}: {error}")
        status = 1
    except KeyboardInterrupt:
        say(f"make {argv[0]}: interrupted")
        status = INTERRUPTED
    if phases.durations:
        seconds = time.monotonic() - began
        commit = durations.commit()
        # One of a part only is no measure of the whole.
        narrowed = any(os.environ.get(name) for name in ("ROLE", "LIMIT", "TAGS"))
        verb = f"{argv[0]} of a part" if narrowed else argv[0]
        durations.record(durations.Run(verb, start, when, commit, status, seconds, phases.durations))
        say(f"{argv[0]}: {'done' if status == 0 else 'FAILED'}")
        say(phases.summary())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
