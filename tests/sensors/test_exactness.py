"""Each message takes effect exactly once by the job's fast path, at a high rate, with an executor killed.

The stream of test_recovery is judged by the full path, while every daemon is killed.
"""

from __future__ import annotations

import judged
import lake
import probe
import pytest
from sensors_oracle.stream import Shares

from millrace.access import remote

pytestmark = pytest.mark.lab

COUNT = 20_000
RATE = 1_000.0
SEED = 20261121
EXECUTOR = "[C]oarseGrainedExecutorBackend"
# Messages that are invalid would be judged by the full path.
ALL_VALID = Shares(invalid=0.0)


def kill_executor() -> None:
    """Kill an executor of the job, on any of the workers."""
    script = f"pid=$(pgrep -o -f {EXECUTOR}) && sudo kill -9 $pid && echo killed || true"
    nodes = [node.name for node in probe.ENVIRONMENT.topology.members("spark_workers")]
    killed = any(remote.run(node, ["sh", "-c", script]).strip() == "killed" for node in nodes)
    assert killed, "no executor anywhere"


def batches(plan: str) -> float:
    """Return how many batches the job says this plan has decided."""
    return lake.job_metrics("sensors_job_batches_total").get(
        f'sensors_job_batches_total{{plan="{plan}"}}', 0.0
    )


def await_short_plan() -> float:
    """Wait until the job decides by the fast path; return how many batches the full one has decided."""
    before = batches("short")
    probe.wait_until("the job to be back at the fast path", lambda: batches("short") > before)
    return batches("full")


def test_every_message_takes_effect_exactly_once_by_the_short_plan(sensors: probe.Sensors) -> None:
    full = await_short_plan()
    with judged.Stream(sensors, SEED, COUNT, RATE, ALL_VALID) as stream:
        probe.wait_until(
            "a part of the messages to be stored", lambda: stream.flows() and sensors.total() > COUNT // 10
        )
        kill_executor()
        assert stream.flows(), "the executor was killed while messages came"
        stream.stop()
    assert batches("full") == full, "only the fast path was tested"
    stream.judge()
