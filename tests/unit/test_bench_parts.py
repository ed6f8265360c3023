"""The figures of each part, from what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import buffering
import contest
import latency
import pytest
import rest
import storage
import throughput
from contest import Load

from millrace.access import remote
from millrace.console import MillraceError
from millrace.verbs.durations import AGAIN, COLD, Run
from millrace.verbs.footprint import Footprint

if TYPE_CHECKING:
    from pathlib import Path

    from figures import Figure

WORK = Load(600, 600)
# Stands for Kafka's client: keeps what is sent, and acknowledges it.
CLIENT = """
import json
from pathlib import Path
class Sent:
    def __init__(self, partition, offset):
        self.partition, self.offset = partition, offset
    def get(self, timeout):
        return self
class KafkaProducer:
    def __init__(self, **settings):
        self.ends = {}
    def send(self, topic, value, key, partition):
        offset = self.ends.setdefault(partition, 100)
        self.ends[partition] += 1
        with (Path(__file__).parent / "sent").open("a") as sent:
            print(json.dumps([topic, partition, key.decode(), json.loads(value)]), file=sent)
        return Sent(partition, offset)
    def flush(self, timeout):
        pass
"""


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def test_throughput_is_held_against_the_others_round_by_round() -> None:
    runs = {
        "job": [100.0, 50.0, 120.0],
        "COPY": [200.0, 50.0, 150.0],  # in the second round the machine was slow for both
        "JDBC": [60.0, 40.0, 60.0],
        "batched": [5.0, 2.0, 4.0],
        "single": [1.0, 0.5, 1.0],
    }
    found = by_name(throughput.comparison(runs, [6.0, 12.0, 5.0], WORK, (20, 10)))
    assert found["a: Kafka → TimescaleDB through the job"].value == 100
    beside = found["a: the job beside server-side COPY"]
    assert (beside.value, beside.runs, beside.holds) == (0.8, (0.5, 1.0, 0.8), True)
    beside = found["a: the job beside Spark's JDBC writer"]
    assert (beside.value, beside.holds) == (1.667, True)
    assert [found[name].holds for name in found if "beside row-by-row" in name] == [True, None]
    assert found["a: the job's window"].value == 6


def test_variants_change_one_thing_each() -> None:
    base, *others = throughput.variants(WORK).values()
    assert base == WORK
    for other in others:
        changed = [
            name
            for name in ("rows", "stored", "partitions", "sensors", "seed")
            if getattr(other, name) != getattr(base, name)
        ]
        assert len(changed) == 1, other
    found = by_name(throughput.variation({"3 partitions": ([10.0, 30.0], [20.0, 20.0])}, WORK))
    assert found["f: 3 partitions: the job"].value == 20
    assert found["f: 3 partitions: beside server-side COPY"].runs == (0.5, 1.5)


def test_percentiles_are_of_all_readings_and_the_runs_of_each() -> None:
    found = latency.figures("at 15/s, warm", [[1.0] * 99 + [2.5], [0.5] * 100], "watched", goal=2)
    assert [figure.name[-3:] for figure in found] == ["p50", "p95", "p99"]
    assert [figure.value for figure in found] == [0.5, 1.0, 1.0]
    assert found[2].runs == (1.0, 0.5)
    assert [figure.holds for figure in found] == [None, None, True]
    (slow,) = latency.figures("x", [[2.1]], "watched", goal=2)[2:]
    assert slow.holds is False
    assert latency.figures("x", [[9.0]], "watched")[2].goal == "", "the first minute has no goal"


def test_the_lab_at_rest_is_the_sum_of_its_services() -> None:
    found = by_name(rest.footprints([Footprint("kafka", 1024, 0.5), Footprint("system", 512, 0.4)], 60))
    assert (found["d: memory at rest"].value, found["d: memory at rest"].holds) == (1.5, True)
    assert (found["d: processor at rest"].value, found["d: processor at rest"].holds) == (0.9, False)
    assert found["d: kafka, memory"].value == 1024


def run(verb: str, start: str, hour: int, seconds: float, **others: Any) -> Run:  # noqa: ANN401 - fields of Run
    given = {"commit": "abc", "status": 0, "phases": {"deploy": seconds}, **others}
    return Run(verb, start, f"2026-11-22T{hour:02}:00:00+00:00", seconds=seconds, **given)


def test_durations_are_of_runs_that_succeeded_the_newest_first() -> None:
    runs = [
        run("up", AGAIN, 1, 300),
        run("up", AGAIN, 2, 200),
        run("up", AGAIN, 3, 9, status=1),
        run("molecule", AGAIN, 4, 50),
    ]
    found = by_name(rest.verbs(runs))
    assert (found["e: `make up` again"].value, found["e: `make up` again"].runs) == (200, (300, 200))
    assert "recorded by the verb itself at 2026-11-22T02" in found["e: `make up` again"].how
    assert found["e: `make up`, cold"].value is None
    assert "not recorded" in found["e: `make up`, cold"].how
    assert by_name(rest.verbs([run("up", COLD, 1, 900.4)]))["e: `make up`, cold"].value == 900
    assert found["e: `make molecule`"].value == 50


@pytest.mark.parametrize(
    ("runs", "value"),
    [
        ([run("molecule", AGAIN, 1, 50), run("test", AGAIN, 2, 100)], 150),
        ([run("molecule", AGAIN, 1, 70), run("molecule", AGAIN, 2, 50), run("test", AGAIN, 3, 100)], 150),
        ([run("test", AGAIN, 1, 100), run("molecule", AGAIN, 2, 50)], None),
        ([run("molecule", AGAIN, 1, 50, commit="def"), run("test", AGAIN, 2, 100)], None),
        ([run("molecule", AGAIN, 1, 50, status=1), run("test", AGAIN, 2, 100)], None),
        ([], None),
    ],
)
def test_ci_is_the_roles_and_then_a_test_of_one_commit(runs: list[Run], value: float | None) -> None:
    assert by_name(rest.verbs(runs))["e: `.ci/run`"].value == value


def test_bytes_a_reading_are_those_of_all_rows() -> None:
    sizes = {"table_bytes": 2_000_000, "index_bytes": 1_000_000, "toast_bytes": 0, "total_bytes": 3_100_000}
    found = storage.raw({**sizes, "rows": 20_000, "chunks": 2})
    assert [figure.value for figure in found] == [155, 100, 50]
    (few,) = storage.raw({**sizes, "rows": 200, "chunks": 2})
    assert few.value is None


def test_the_size_of_the_lake_is_what_its_maintenance_says() -> None:
    event = {"message": "the lake's size", "fields": {"files": 3, "rows": 1_000, "bytes": 3_210}}
    said = "\n".join(["Picked up options", json.dumps({"message": "compacted"}), json.dumps(event)])
    found = storage.lake_size(said)
    assert (found.value, found.holds) == (3.21, True)
    for nothing in ("", json.dumps({"message": "the lake has no rows yet"})):
        with pytest.raises(MillraceError, match="did not say"):
            storage.lake_size(nothing)


@pytest.mark.parametrize("rate", [None, 2000])
def test_the_producer_sends_each_sensor_to_one_partition_in_order_of_event_times(
    tmp_path: Path, rate: float | None
) -> None:
    (tmp_path / "kafka.py").write_text(CLIENT, encoding="utf-8")
    given = {
        "client": {},
        "topic": "t",
        "partitions": 3,
        "sensors": contest.sensors(6),
        "seed": 1,
        "anomaly_share": 0,
        "count": 100,
        "begin": 1_763_600_000_000_000,
        "step": contest.STEP,
        "rate": rate,
    }
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", contest.PRODUCE],
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["sent"] == 100
    assert told["offsets"] == {"0": [100, 134], "1": [100, 133], "2": [100, 133]}
    sent = [json.loads(line) for line in (tmp_path / "sent").read_text(encoding="utf-8").splitlines()]
    places = {(key, partition) for _, partition, key, _ in sent}
    assert len(places) == 6
    identities = {(key, message["timestamp"]) for _, _, key, message in sent}
    assert len(identities) == 100
    for sensor, _ in contest.sensors(6):
        times = [message["timestamp"].ljust(27, "0") for _, _, key, message in sent if key == sensor]
        assert times == sorted(times)


def test_the_buffer_is_measured_by_the_real_one_and_as_ratios_of_its_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffering, "ROUNDS", 2)
    monkeypatch.setattr(buffering, "GROUPS", {"3": 2, "1000": 1})

    def here(_node: str, argv: list[str], stdin: str) -> str:
        command = [sys.executable, *argv[1:]]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(  # noqa: S603 - our own argv
            command, input=stdin, env=environment, capture_output=True, text=True, check=True
        ).stdout

    monkeypatch.setattr(remote, "run", here)
    found = by_name(buffering.measure())
    for size in ("3", "1,000"):
        full, normal, beside = (
            found[f"g: a commit of {size} readings, {what}"]
            for what in ("synchronous=FULL", "synchronous=NORMAL", "FULL beside NORMAL")
        )
        assert len(full.runs) == len(normal.runs) == len(beside.runs) == 2
        assert beside.runs == pytest.approx(
            [a / b for a, b in zip(full.runs, normal.runs, strict=True)], rel=0.01
        )
