"""`make chaos`: rounds of one fault each while data flows, and what they cost: nothing, or it says what.

ROUNDS, SEED (drawn and printed where none is given) and NAIVE=1 (naive sinks run beside, which must fail)
come from the environment. Exit status 1 when anything was lost, doubled or wrong, or a naive sink was exact.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from typing import TYPE_CHECKING

import lake
import probe
import twins
from faults import plan
from one_round import Round, judge_lake
from report import Outcome, bite, figures, table

from millrace.console import MillraceError, flag, say
from millrace.model.current import require_disposable
from millrace.paths import repo_root

if TYPE_CHECKING:
    from collections.abc import Sequence

SHOWN = 40  # lines of what is wrong


def run(rounds: int, seed: int, orders: tuple[str, ...]) -> list[str]:
    """Play the rounds; print and write what they showed; return what must not be, a line each."""
    outcomes: list[Outcome] = []
    bad: list[str] = []
    chosen = plan(probe.ENVIRONMENT, rounds, seed)
    say(f"{rounds} rounds, SEED={seed}")
    try:
        for number, fault in enumerate(chosen, 1):
            say(f"round {number}: {fault.kind}, {fault.target}")
            try:
                outcome = Round(seed * 1000 + number).play(fault, orders)
            except AssertionError as error:
                bad.append(f"round {number} ({fault.kind}, {fault.target}): {error}")
                break
            outcomes.append(outcome)
            seen = outcome.verdict
            say(
                f"  flowing again after {outcome.recovery:.1f} s; "
                f"{seen.lost} lost, {seen.doubled} doubled, {seen.wrong} wrong"
            )
            bad += [f"round {number}: {detail}" for detail in outcome.verdict.details]
            bad += [
                f"round {number}: the naive sink ({order}) came through, so these checks prove nothing"
                for order, verdict in outcome.naive.items()
                if not getattr(verdict, bite(order))
            ]
        if outcomes and lake.there():
            outcomes = judge_lake(outcomes)
            bad += [
                f"round {number}, the lake: {detail}"
                for number, outcome in enumerate(outcomes, 1)
                for detail in (outcome.lake.details if outcome.lake else ())
            ]
    except AssertionError as error:
        bad.append(f"the lake: {error}")
    finally:
        # Also when somebody breaks it off: what was judged until then holds.
        if outcomes:
            say(table(outcomes))
            write_report(outcomes, seed)
    return bad


def write_report(outcomes: Sequence[Outcome], seed: int) -> None:
    """Write reports/chaos.json."""
    reports = repo_root() / "reports"
    reports.mkdir(exist_ok=True)
    text = json.dumps(figures(outcomes, seed), indent=2, ensure_ascii=False)
    (reports / "chaos.json").write_text(text + "\n", encoding="utf-8")


def main() -> int:
    """Run `make chaos`."""
    # So that whoever ends this also gets the lab healed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        require_disposable(probe.ENVIRONMENT.topology)
        rounds = int(os.environ.get("ROUNDS") or 3)
        seed = int(os.environ.get("SEED") or random.randrange(1_000_000))  # noqa: S311 - no secret
        bad = run(rounds, seed, twins.ORDERS if flag("NAIVE") else ())
    except (MillraceError, ValueError) as error:
        sys.stderr.write(f"make chaos: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("make chaos: interrupted; what was struck is healed\n")
        return 130
    for line in bad[:SHOWN]:
        sys.stderr.write(f"{line}\n")
    if len(bad) > SHOWN:
        sys.stderr.write(f"and {len(bad) - SHOWN} more\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
