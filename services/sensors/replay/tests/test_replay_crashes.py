"""Whatever happens to the process, no hour is left out and no reading contradicts another."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from replay_fakes import HOURS, SECOND, START, Broker, Crash, Machine, make, replayed


def relative(sent: list[tuple[bytes, bytes]]) -> list[tuple[bytes, float, int]]:
    """Return sensor, value and microseconds since the first message."""
    read = [json.loads(value) for _, value in sent]
    times = [datetime.fromisoformat(message["timestamp"]) for message in read]
    return [
        (key, message["value"], (time - times[0]) // timedelta(microseconds=1))
        for (key, _), message, time in zip(sent, read, times, strict=True)
    ]


def torn(folder: Path, runs: list[dict[str, Any]], hours: int) -> list[tuple[bytes, bytes]]:
    """Run again and again, each time until a crash, then to the end; return all that was sent."""
    sent, now = [], START
    for run in runs:
        machine = Machine(now, crash_at=run["crash_at"])
        broker = Broker(machine)
        with contextlib.suppress(Crash):
            make(folder, machine, broker, limit_hours=hours, **run.get("changes", {})).run()
        sent += broker.sent
        now = machine.now + run["pause"] * SECOND
    return sent + replayed(folder, hours, Machine(now))


@settings(max_examples=30, deadline=None)
@given(
    runs=st.lists(
        st.fixed_dictionaries({"crash_at": st.integers(1, 25), "pause": st.integers(0, 500)}), max_size=6
    ),
    hours=st.integers(1, 3 * HOURS),
)
def test_crashes_leave_nothing_out_and_change_nothing(runs: list[dict[str, Any]], hours: int) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        whole = replayed(Path(one), hours)
        found = torn(Path(other), runs, hours)
    assert relative(list(dict.fromkeys(found))) == relative(whole)


@settings(max_examples=30, deadline=None)
@given(
    runs=st.lists(
        st.fixed_dictionaries(
            {
                "crash_at": st.integers(1, 25),
                "pause": st.integers(-900, 20_000),
                "changes": st.fixed_dictionaries({"speed": st.sampled_from([1.0, 360.0, 100_000.0])}),
            }
        ),
        max_size=6,
    ),
    hours=st.integers(1, 3 * HOURS),
)
def test_whatever_happens_no_identity_has_two_values_and_the_table_goes_on(
    runs: list[dict[str, Any]], hours: int
) -> None:
    with TemporaryDirectory() as folder:
        found = torn(Path(folder), runs, hours)
    read = [(key, json.loads(value)) for key, value in found]
    identities = {(key, message["timestamp"]): message["value"] for key, message in read}
    assert all(identities[key, message["timestamp"]] == message["value"] for key, message in read)
    by_time = {message["timestamp"]: message["value"] for _, message in read}
    assert list(by_time) == sorted(by_time), "times grow"
    assert list(by_time.values()) == [hour % HOURS for hour in range(hours) if hour % HOURS != 3]
