"""One round: a stream of known seed, a fault while it flows, and the judgement on what became of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import evidence
import probe
import strikes
import twins
from report import Outcome
from sending import Sender, gone
from sensors_oracle.stream import Item, Shares, scenario, span
from verdict import Verdict, absent, compare, compare_lake, expect

from millrace.console import CommandError
from millrace.verbs import status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faults import Fault
    from sensors_oracle.reference import Rule
    from verdict import Expected, Place

MOST = 60_000  # messages of a round; it ends long before, unless a node takes minutes to restart
RATE = 300.0  # messages a second
BEFORE = 1_500  # messages that must be stored before the fault strikes
HOLD = 20  # seconds that a fault lasts which does not end by itself
TAIL = 3  # seconds of sending afterwards


def until(what: str, condition: Callable[[], object]) -> None:
    """Wait as probe.wait_until does; a node that does not answer is one to wait for."""
    said = "none"

    def met() -> object:
        nonlocal said
        try:
            return condition()
        except CommandError as error:
            said = str(error)
            return False

    try:
        probe.wait_until(what, met)
    except AssertionError as error:
        message = f"{error}; the last command that failed: {said}"
        raise AssertionError(message) from None


def judge_lake(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes with their verdicts on the lake, which comes a minute later: so all at once."""
    begin = min(reading.event_time for outcome in outcomes for reading in outcome.valid.values())
    rows = evidence.lake_rows(begin, [outcome.prefix for outcome in outcomes])
    return [replace(outcome, lake=compare_lake(outcome.valid, rows[outcome.prefix])) for outcome in outcomes]


@dataclass
class Round:
    """The round's stream and where it goes; `since` are the topics' ends before it."""

    seed: int
    sensors: probe.Sensors = field(default_factory=probe.Sensors)
    rules: tuple[Rule, ...] = field(default_factory=probe.rules)
    since: dict[str, Mapping[str, int]] = field(default_factory=dict)
    items: list[Item] = field(init=False)
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        """Make the stream, with event times in the past."""
        types = self.sensors.types
        start = datetime.now(UTC).replace(microsecond=0) - span(MOST, len(types)) - timedelta(minutes=5)
        # Every other round has no invalid messages, so that the job's fast path has its share of the faults.
        shares = Shares(invalid=0.0) if self.seed % 2 else Shares()
        self.items = list(scenario(self.seed, MOST, types, start, shares=shares, rules=self.rules))
        self.sender = Sender(self.items, self.sensors.prefix, RATE)

    def play(self, fault: Fault, orders: tuple[str, ...]) -> Outcome:
        """Run it; nothing of it is left afterwards, but its messages in the topics."""
        with strikes.prepared(fault) as strike:
            before = probe.now()
            until("everything to be up and readings to flow", lambda: probe.flowing_since(before))
            self.since = {topic: probe.ends(topic) for topic in (probe.TOPIC, *evidence.PUBLISHED)}
            with twins.running(orders, self.sensors.prefix, self.since[probe.TOPIC]) as naive:
                try:
                    began = self._strike(strike, naive)
                    until("health, no lag, and the last acknowledged message stored", self._recovered)
                    recovery = time.monotonic() - began
                    again = probe.now()
                    until("readings to flow again", lambda: probe.flowing_since(again))
                    expected, verdict = self._judge()
                    others = {twin.order: self._judge_twin(twin, expected) for twin in naive}
                finally:
                    # Also where it was broken off while sending: what is removed must have arrived.
                    self.sensors.sent = self.sensors.sent or self._acknowledged()
                    self.sensors.remove()
        sent, acknowledged = len(expected.sensors), len(self.sender.acknowledged)
        return Outcome(
            fault, sent, acknowledged, recovery, verdict, others, self.sensors.prefix, expected.valid
        )

    def _strike(self, strike: strikes.Strike, naive: list[twins.Twin]) -> float:
        """Send, strike and heal meanwhile; return the moment from which recovery counts."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            sending = pool.submit(self.sender.run)
            try:
                until(
                    "a part of the messages to be stored",
                    lambda: sending.done() or self.sensors.total() > BEFORE,
                )
                for twin in naive:
                    twin.kill()
                began = time.monotonic()
                try:
                    strike.inject()
                    if strike.held:
                        time.sleep(HOLD)  # how long the fault lasts
                        began = time.monotonic()
                finally:
                    strike.heal()
                time.sleep(TAIL)  # data flows on
            finally:
                self.sender.stop()
            sending.result()
        self.sensors.sent = self._acknowledged()
        return began

    def _acknowledged(self) -> list[Place]:
        return [place for place in self.sender.acknowledged.values() if place[1] >= 0]

    def _recovered(self) -> bool:
        seen = status.collect(probe.ENVIRONMENT)
        return seen.healthy and seen.sections[probe.SENSORS].metrics["lag"] == 0 and self.sensors.processed()

    def _judge(self) -> tuple[Expected, Verdict]:
        """Return what the messages in the topic ask for, and the verdict on what the platform did."""
        until("the senders to have ended", lambda: gone(self.sensors.prefix))
        prefix = self.sensors.prefix
        seen, ends = evidence.read_topic(prefix, self.since[probe.TOPIC], self.items)
        while True:
            self.sensors.sent = [message.place for message in seen]
            until("the job to pass the messages in the topic", self.sensors.processed)
            evidence.wait_for_outbox()
            found = evidence.gather(self.sensors, self.since)
            # A broker that stood still may have appended a message after its sender was gone.
            more, ends = evidence.read_topic(prefix, ends, self.items)
            if not more:
                break
            seen += more
        expected = expect(seen, self.items, self.rules)
        missing, plain = absent(self.sender.acknowledged, seen), compare(expected, found)
        minutes = evidence.wrong_minutes()
        details = (*missing, *plain.details, *minutes)
        return expected, Verdict(
            plain.lost + len(missing), plain.doubled, plain.wrong + len(minutes), details
        )

    def _judge_twin(self, twin: twins.Twin, expected: Expected) -> Verdict:
        """Return the verdict on a naive sink, which gets the time that it needs."""
        last: dict[int, int] = {}
        for partition, offset in self.sensors.sent:
            last[partition] = max(offset, last.get(partition, -1))
        twin.start()
        until(f"the naive sink ({twin.order}) to be done", lambda: twin.passed(last))
        return compare(expected, twin.found(self.sensors))
