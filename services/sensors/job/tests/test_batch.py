"""Sums outside the database against the plain oracle, and what the command makes of its arguments."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensors_oracle.aggregates import PERIODS as ORACLE_PERIODS
from sensors_oracle.aggregates import aggregate
from sensors_oracle.reference import Reading

from millrace_common import service
from sensors_job.batch import command as batch
from sensors_job.batch import profile, recompute, sums
from sensors_job.batch.history import Period
from sensors_job.batch.sums import Aggregate, Repeated
from sensors_job.lake import command as lake_command
from sensors_job.lake import rules as lake

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = int(NOON.timestamp())
CONFIG = {
    "lake": {"warehouse": "hdfs://spark-1:8020/lake"},
    "postgres": {"host": "d", "database": "s", "username": "u", "ca_file": "/ca.crt", "password": "p"},
}
ROW = Aggregate(3, 1.0, 2.0, 1.5, 0.5, 1)
READINGS = st.lists(
    st.tuples(
        st.builds(
            Reading,
            st.sampled_from(["a", "b"]),
            st.sampled_from(["temperature", "voltage"]),
            st.integers(-(10**5), 10**5).map(lambda steps: steps / 100)
            | st.floats(1e-9, 1e12).map(lambda value: float(f"{value:.15g}")),
            st.integers(0, 7200).map(lambda second: NOON + timedelta(seconds=second)),
        ),
        st.integers(0, 2),
    ),
    min_size=1,
    unique_by=lambda pair: pair[0].identity,
)


def repeated(readings: list[Reading]) -> list[Repeated]:
    """Return what the lake's query makes of readings."""
    counts = Counter(
        (r.sensor_id, r.type, int(r.event_time.timestamp()) // 60 * 60, r.value) for r in readings
    )
    return sorted(Repeated(*key, count) for key, count in counts.items())


@given(READINGS)
def test_sums_are_those_of_the_oracle(flagged: list[tuple[Reading, int]]) -> None:
    anomalies: dict[tuple[str, str], Counter[int]] = {}
    for reading, count in flagged:
        minute = int(reading.event_time.timestamp()) // 60 * 60
        anomalies.setdefault((reading.sensor_id, reading.type), Counter())[minute] += count
    added = dict(sums.add_up(repeated([reading for reading, _ in flagged])))
    for period, seconds in sums.PERIODS.items():
        found = {
            (*series, datetime.fromtimestamp(bucket, UTC)): row
            for series, minutes in added.items()
            for bucket, row in sums.roll_up(minutes, anomalies[series], seconds).items()
        }
        expected = aggregate(flagged, ORACLE_PERIODS[period])
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert sums.same(found[key], Aggregate(**vars(row))), key


def test_squares_beyond_a_double_have_a_deviation_too() -> None:
    values = [Repeated("a", "voltage", START, value, 1) for value in (0.0, 1e200)]
    ((_, minutes),) = sums.add_up(values)
    assert minutes[START].deviation == pytest.approx(1e200 / math.sqrt(2))


@pytest.mark.parametrize(
    ("change", "equal"),
    [
        ({}, True),
        ({"mean": 1.5 * (1 + 1e-15)}, True),
        ({"mean": 1.5 * (1 + 1e-11)}, False),
        ({"deviation": None}, False),
        ({"deviation": 0.5000001}, False),
        ({"readings": 4}, False),
        ({"minimum": 0.9}, False),
        ({"maximum": 2.1}, False),
        ({"anomalies": 0}, False),
    ],
)
def test_aggregates_are_compared_in_all_that_they_say(change: dict[str, Any], equal: bool) -> None:  # noqa: FBT001 - a case
    assert sums.same(ROW, ROW._replace(**change)) is equal
    assert sums.same(ROW._replace(**change), ROW) is equal
    assert not sums.same(None, ROW)
    assert not sums.same(ROW, None)


def test_what_still_moves_is_left_out_and_what_one_side_lacks_differs() -> None:
    mine = {START: ROW, START + 60: ROW, START + 600: ROW, START + 660: ROW}
    theirs = {START: ROW, START + 60: ROW._replace(readings=4), START + 600: ROW, START + 720: ROW}
    assert dict(sums.compare(60, mine, theirs, [START + 60])) == {
        START: "equal",
        START + 60: "moving",
        START + 600: "equal",
        START + 660: "different",
        START + 720: "different",
    }
    assert dict(sums.compare(600, {START: ROW}, {START: ROW, START + 600: ROW}, [START + 660])) == {
        START: "equal",
        START + 600: "moving",
    }


def test_what_was_dropped_is_left_out_and_anomalies_that_were_are_not_counted_again() -> None:
    mine, theirs = {START: ROW, START + 3600: ROW}, {START + 3600: ROW._replace(anomalies=4)}
    dropped = ((START - 60, START + 3600),)
    assert dict(sums.compare(3600, mine, theirs, [START], dropped)) == {
        START: "dropped",
        START + 3600: "different",
    }
    assert sums.with_counts_of(mine, theirs, dropped) == mine
    later = ((START, START + 7200),)
    assert sums.with_counts_of(mine, theirs, later) == mine | {START + 3600: theirs[START + 3600]}


def test_only_what_both_ledgers_have_passed_is_compared() -> None:
    offsets = recompute.both({0: 5, 1: 9, 2: 3}, {0: 7, 1: 4, 3: 1})
    assert offsets == {0: 5, 1: 4}
    text = recompute.lake_statement("lake.t", offsets)
    assert (
        "(source_partition = 0 AND source_offset < 5) OR (source_partition = 1 AND source_offset < 4)" in text
    )
    assert "AND (false)" in recompute.lake_statement("lake.t", {})
    assert lake.distinct_readings("lake.t").split("FROM lake.t")[0] in text


def test_a_report_says_what_differs_and_what_was_left_out() -> None:
    report = recompute.Report(series=2)
    assert list(report.lines())[-1] == "nothing was compared"
    report.tallies["1m"].update(equal=3, different=22, moving=1)
    report.unknown["test-1", "voltage"] = 40
    report.differences.append(sums.Difference("1m", ("a", "voltage"), START, ROW, None))
    lines = list(report.lines())
    assert lines[1].split() == ["1m", "3", "22", "1", "0"]
    assert "left out: 40 readings of 1 series unknown to the database" in lines
    assert lines[-4:] == [
        "1m 2026-11-21T12:00Z a voltage",
        "    lake     readings=3 minimum=1.0 maximum=2.0 mean=1.5 deviation=0.5 anomalies=1",
        "    database nothing",
        "and 21 more",
    ]
    assert report.different
    assert report.compared


def options(*words: str) -> Any:  # noqa: ANN401 - argparse's namespace
    return batch.parser().parse_args(["recompute", *words])


def test_a_day_is_utcs_and_hours_are_whole() -> None:
    assert batch.chosen_period(options("--day", "2026-11-21"))[:2] == (
        NOON.replace(hour=0),
        NOON.replace(hour=0) + timedelta(days=1),
    )
    hours = options("--from", "2026-11-21T12:00", "--to", "2026-11-21T15:00+01:00")
    assert batch.chosen_period(hours)[:2] == (NOON, NOON + timedelta(hours=2))
    open_end = batch.chosen_period(options("--from", "2026-11-21"))
    assert open_end.end.minute == open_end.end.second == open_end.end.microsecond == 0
    assert open_end.end <= datetime.now(UTC)


@pytest.mark.parametrize(
    "words",
    [
        ["recompute"],
        ["recompute", "--day", "2026-11-21", "--from", "2026-11-21"],
        ["recompute", "--from", "2026-11-21T12:30"],
        ["recompute", "--from", "2026-11-21", "--to", "2026-11-21"],
        ["recompute", "--day", "yesterday"],
        ["profile", "--days", "0"],
        ["profile", "--minimum", "0"],
        ["profile", "--floor", "0"],
        ["profile", "--floor", "nan"],
        [],
    ],
)
def test_a_wrong_question_is_told_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.setattr(lake_command, "build_session", lambda *_: pytest.fail("it has begun"))
    monkeypatch.setattr(service, "stop_on_signals", threading.Event)
    monkeypatch.setattr(service, "setup_logging", lambda _: None)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG), encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        batch.main(["--config", str(config), *words])


@pytest.mark.parametrize(("differs", "compared", "status"), [(0, 5, 0), (1, 5, 1), (0, 0, 1)])
def test_the_status_tells_whether_all_that_was_compared_is_equal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    differs: int,
    compared: int,
    status: int,
) -> None:
    report = recompute.Report()
    report.tallies["1h"].update(equal=compared, different=differs)
    stopped: list[bool] = []

    class Session:
        def stop(self) -> None:
            stopped.append(True)

    class Settings:
        log_level = "INFO"

    monkeypatch.setattr(lake_command, "build_session", lambda *_: Session())
    monkeypatch.setattr(batch, "recompute", lambda *_: report)
    monkeypatch.setattr(batch, "setup_logging", lambda *_: None)
    nothing: Any = None
    settings: Any = Settings()
    assert batch.run_recompute(Period(NOON, NOON), settings, nothing) == status
    assert stopped == [True]
    assert capsys.readouterr().out.splitlines() == list(report.lines())


def test_sensors_that_the_database_does_not_know_get_no_profile() -> None:
    rows = [profile.Usual(name, "voltage", 3, 200, 230.0, 0.5) for name in ("a", "gone", "a")]
    assert profile.split(rows, {"a", "b"}) == ([rows[0], rows[2]], {"gone"})
