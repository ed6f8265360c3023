"""Part (b): from event time to visible row, at 15 and at 1,000 a second, warm and after a restart."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import contest
import probe
import stage
from figures import Figure, at_most, of_runs, percentile, rounded
from node_process import NodeProcess
from visibility import MeasurementError, first_change, latencies, spans, within
from watching import Watch

from millrace.access import remote
from millrace.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from visibility import Reading

MINUTE = 60.0
WINDOWS = 3  # minutes of a warm measurement, each one a run
WARM = 300  # seconds that the job must have run to be warm
LEAD = 30  # seconds of sending before a warm measurement
SETTLE = 20  # seconds after which a reading must be visible
RATE = 1000.0
INTERVAL = 0.01
GOAL = 2.0
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
GENERATED = "sensor_id ~ '^(temperature|pressure|voltage)-[0-9]+$'"  # the ids of sensors-generator
OWN = "sensor_id LIKE 'bench-%'"
HOW = (
    "the deployed job with its lake query; a reading is visible once the ledger, which is committed with it "
    f"and looked at every {INTERVAL * 1000:.0f} ms, has passed its offset; event time and look are of one "
    "clock, as the lab's nodes are containers of one machine"
)
# systemd's clock, which in a container /proc/uptime is not.
CLOCK = "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC))"
REMOVE = """
BEGIN;
DELETE FROM sensors.measurements WHERE sensor_id LIKE 'bench-%';
DELETE FROM sensors.anomalies WHERE sensor_id LIKE 'bench-%';
DELETE FROM sensors.sums_1m WHERE sensor_id LIKE 'bench-%';
DELETE FROM sensors.counts WHERE sensor_id LIKE 'bench-%';
COMMIT;
"""


def measure() -> list[Figure]:
    """Measure all four; nodes that do not share a clock get figures without values."""
    if probe.ENVIRONMENT.topology.provider != "lab":
        why = "not measured: these nodes do not share a clock, and the difference would be in the figure"
        return [Figure("b: event time → row visible", None, "s", why)]
    probe.execute(REMOVE)  # of a run that was killed
    found = []
    for sending, rate in ((False, probe.READINGS_A_SECOND), (True, RATE)):
        await_warm()
        runs, condition = warm(sending=sending), f"at {rate:,.0f}/s, warm"
        found += figures(condition, runs, f"{WINDOWS} minutes, a run each; {HOW}", goal=GOAL)
    for sending, rate in ((False, probe.READINGS_A_SECOND), (True, RATE)):
        run, down = first_minute(sending=sending)
        condition = f"at {rate:,.0f}/s, first minute"
        how = f"readings of the minute that begins with the first commit after a restart; {HOW}"
        found += figures(condition, [run], how)
        say(f"  restart at {rate:,.0f}/s: first commit after {down:.1f} s")
        why = "from `systemctl restart sensors-job` to the first commit; readings of that time wait so long"
        found.append(Figure(f"b: restart at {rate:,.0f}/s to first commit", rounded(down), "s", why))
    return found


def figures(
    condition: str, runs: Sequence[Sequence[float]], how: str, *, goal: float | None = None
) -> list[Figure]:
    """Return a figure for each percentile: of all readings, and `runs` of each run's; p99 has the goal."""
    everything = [seconds for run in runs for seconds in run]
    found = []
    for name, share in PERCENTILES.items():
        single = of_runs("", [percentile(run, share) for run in runs], "s", "").runs
        value = rounded(percentile(everything, share))
        text = f"{len(everything):,} readings, {how}"
        figure = Figure(f"b: event time → row visible {condition}, {name}", value, "s", text, single)
        found.append(at_most(figure, goal) if goal is not None and name == "p99" else figure)
    say(f"  {condition}: " + ", ".join(f"{figure.name[-3:]} {figure.value} s" for figure in found))
    return found


def await_warm() -> None:
    """Wait until the job has run long enough to be warm, and data flows."""
    probe.wait_until("everything to be up and readings to flow", probe.flowing)
    since = stage.ask_systemd(stage.JOB, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]
    now = float(remote.run(probe.APPS, ["python3", "-c", CLOCK]))
    left = WARM - (now - int(since) / 1e6)
    if left > 0:
        say(f"  waiting {left:.0f} s until the job has run for {WARM} s")
        time.sleep(left)


def warm(*, sending: bool) -> list[list[float]]:
    """Return the latencies of each minute, of the generator's readings or of RATE a second sent here."""
    with sent(sending=sending) as condition:
        if sending:
            time.sleep(LEAD)
        with Watch(probe.TOPIC, interval=INTERVAL) as watch:
            begin = time.time() + 1
            time.sleep(WINDOWS * MINUTE + 1 + SETTLE)
            return _observed(watch, condition, spans(begin, MINUTE, WINDOWS), sending=sending)


def first_minute(*, sending: bool) -> tuple[list[float], float]:
    """Restart the job; return the latencies of its first minute, and the seconds to its first commit."""
    with sent(sending=sending) as condition, Watch(probe.TOPIC, interval=INTERVAL) as watch:
        time.sleep(5)
        asked = time.time()
        remote.run(probe.APPS, ["sudo", "systemctl", "restart", stage.JOB])
        restarted = time.time()  # until then the old process may have committed its last batch
        first: list[float] = []

        def committed() -> bool:
            _ = watch.offsets
            first[:] = [moment for moment in [first_change(watch.changes, restarted)] if moment is not None]
            return bool(first)

        probe.wait_until("the restarted job to commit", committed)
        time.sleep(max(0.0, first[0] + MINUTE + SETTLE - time.time()))
        runs = _observed(watch, condition, [(first[0], first[0] + MINUTE)], sending=sending)
    return runs[0], first[0] - asked


def _observed(
    watch: Watch, condition: str, periods: list[tuple[float, float]], *, sending: bool
) -> list[list[float]]:
    _ = watch.offsets
    readings = _readings(condition, periods[0][0], periods[-1][1])
    parts = [within(readings, period) for period in periods]
    rate = RATE if sending else probe.READINGS_A_SECOND
    for part in parts:
        if len(part) < 0.95 * rate * MINUTE:
            message = (
                f"{len(part)} readings in a minute are not the {rate:,.0f} a second that were to be sent"
            )
            raise MeasurementError(message)
    return [latencies(part, watch.changes) for part in parts]


def _readings(condition: str, begin: float, end: float) -> list[Reading]:
    first, last = (datetime.fromtimestamp(moment, UTC).isoformat() for moment in (begin, end))
    rows = probe.query(
        "SELECT extract(epoch FROM event_time) AS t, source_partition AS p, source_offset AS o "  # noqa: S608 - our own text
        f"FROM sensors.measurements WHERE event_time >= '{first}' AND event_time < '{last}' "
        f"AND {condition} ORDER BY event_time"
    )
    return [(float(row["t"]), row["p"], row["o"]) for row in rows]


@contextmanager
def sent(*, sending: bool) -> Iterator[str]:
    """Send RATE readings a second meanwhile, if told to; yield the SQL condition of the readings to look at.

    What was sent is removed from the database afterwards; the topic and the lake keep it.
    """
    if not sending:
        yield GENERATED
        return
    given = {
        "client": probe.kafka_client(),
        "topic": probe.TOPIC,
        "partitions": len(probe.ends(probe.TOPIC)),
        "sensors": contest.sensors(3, f"bench-{uuid.uuid4().hex[:8]}"),
        "seed": 1,
        "anomaly_share": 0,
        "count": None,
        "begin": 0,
        "step": 0,
        "rate": RATE,
    }
    try:
        with NodeProcess(probe.APPS, [probe.KAFKA_PYTHON, "-c", contest.PRODUCE], given) as producer:
            yield OWN
            producer.finish()
            told = producer.receive(180)
            say(f"  sent {told['sent']:,} messages in {told['seconds']:.0f} s")
    finally:
        ends = {int(partition): end for partition, end in probe.ends(probe.TOPIC).items()}

        def passed() -> bool:
            stored = probe.ledger()
            return all(stored.get(partition, 0) >= end for partition, end in ends.items())

        probe.wait_until("the job to pass what was sent", passed)
        probe.execute(REMOVE)
