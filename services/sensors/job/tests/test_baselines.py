"""Rules that go by a profile: the job's judgement of record batches against the plain oracle."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow", reason="pyarrow is on the nodes")

from sensors_oracle import reference  # noqa: E402 - after the skip

from sensors_job.config import BusinessHours  # noqa: E402 - after the skip
from sensors_job.judge import baselines, rules, sql_path  # noqa: E402 - after the skip
from sensors_job.judge.baselines import Judge, Usual  # noqa: E402 - after the skip

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
VALUES = st.floats(-10, 10) | st.sampled_from([0.0, 2.0, -2.0, 4.0])
SENSORS = st.sampled_from(["a-1", "a-2", "b"])
TYPES = st.sampled_from(["temperature", "voltage"])
REACH = st.none() | st.sampled_from(["a-1", "a-*", "b", "c", "*"])
RULES = st.builds(
    reference.Rule,
    rule_id=st.uuids().map(str),
    type=TYPES,
    comparison=st.just("unusual"),
    threshold=st.sampled_from([0.5, 1.0, 3.0]),
    severity=st.sampled_from(["info", "critical"]),
    sensor_id=REACH,
    except_sensor_id=REACH,
)
PROFILES = st.dictionaries(
    st.tuples(SENSORS, TYPES, st.integers(0, 2)), st.tuples(VALUES, st.sampled_from([0.1, 2.0])), max_size=12
)
READINGS = st.lists(
    st.none()
    | st.builds(
        reference.Reading,
        SENSORS,
        TYPES,
        VALUES,
        st.integers(0, 4 * 60 - 1).map(lambda minute: MIDNIGHT + timedelta(minutes=minute)),
    ),
    max_size=20,
)


def record_batch(readings: list[reference.Reading | None]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return what Spark hands over; None stands for a rejected message."""
    facts = [r and f"{r.event_time:%H:%M}\t{r.sensor_id}\t{r.type}\t{r.value!r}\tU" for r in readings]
    return pa.RecordBatch.from_pydict(
        {
            "offset": pa.array(range(100, 100 + len(readings)), pa.int64()),
            "sensor_id": pa.array(["" if r is None else r.sensor_id for r in readings], pa.string()),
            "type": pa.array([r and r.type for r in readings], pa.string()),
            "facts": pa.array(facts, pa.string()),
            "reading": pa.array([None if r is None else r.value for r in readings], pa.float64()),
            "hour": pa.array([None if r is None else r.event_time.hour for r in readings], pa.int32()),
        }
    )


def judged(
    given_rules: list[reference.Rule],
    profile: reference.Profile,
    batch: Any,  # noqa: ANN401 - as above
) -> list[list[str]]:
    """Return the fields of all anomaly lines that the job makes of `batch`."""
    own = rules.Unusual(7, 3, tuple(rules.Rule(**asdict(rule)) for rule in given_rules))
    rows = [Usual(*key, *usual) for key, usual in profile.items()]
    lines = [line for column in Judge(own, rows).lines(batch) for line in column.to_pylist()]
    assert all(line.endswith("\n") for line in lines)
    return [line[:-1].split("\t") for line in lines]


@given(st.lists(RULES, max_size=4), PROFILES, READINGS, st.integers(0, 5))
def test_the_job_flags_what_the_oracle_flags(
    given_rules: list[reference.Rule],
    profile: reference.Profile,
    readings: list[reference.Reading | None],
    cut: int,
) -> None:
    # A part of a batch, as the ledger has it after a restart.
    lines = judged(given_rules, profile, record_batch(readings).slice(cut))
    expected = [
        (100 + place, rule.rule_id, rule.severity, reading.value, bound)
        for place, reading in enumerate(readings)
        if reading is not None and place >= cut
        for rule in given_rules
        if rule.type == reading.type and rule.concerns(reading.sensor_id)
        if (bound := rule.crossed(reading, profile)) is not None
    ]
    found = [
        (int(offset), rule_id, severity, float(value), float(threshold))
        for _, _, _, value, _, rule_id, severity, threshold, version, offset in lines
        if version == "7"
    ]
    assert sorted(found) == sorted(expected)
    assert len(found) == len(lines)


@given(RULES, SENSORS)
def test_the_job_reaches_the_sensors_that_the_oracle_reaches(rule: reference.Rule, sensor: str) -> None:
    assert rules.concerns(rules.Rule(**asdict(rule)), sensor) == rule.concerns(sensor)


def test_a_bound_itself_is_not_unusual_and_the_next_number_is() -> None:
    rule = reference.Rule("odd", "voltage", "unusual", 2.0, "info")
    readings = [reference.Reading("b", "voltage", value, MIDNIGHT) for value in (0.8, 1.2, 0.79, 1.21)]
    lines = judged([rule], {("b", "voltage", 0): (1.0, 0.1)}, record_batch(list(readings)))
    assert [(line[3], line[7]) for line in lines] == [("0.79", "0.8"), ("1.21", "1.2")]


class Cursor:
    """Stands in for psycopg2's: has one profile, and counts how often it is asked for it."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked: list[tuple[int, ...]] = []

    def execute(self, statement: str, values: tuple[int, ...]) -> None:
        """Note the question."""
        assert statement == baselines.PROFILE
        self.asked.append(values)

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator
        """Return the one row."""
        return iter([("b", "voltage", 0, 1.0, 0.1)])


def test_a_worker_reads_a_profile_once_for_each_version_of_the_rules() -> None:
    cursor = Cursor()
    rule = rules.Rule("odd", "voltage", "unusual", 2.0, "info")
    first, second = rules.Unusual(101, 3, (rule,)), rules.Unusual(102, 4, (rule,))
    judges = [baselines.judge(cursor, one) for one in (first, first, second, second)]
    assert cursor.asked == [(3,), (4,)]
    assert judges[0] is judges[1]
    assert judges[2] is judges[3]
    assert judges[0] is not judges[2]
    assert judges[2].lines(record_batch([reference.Reading("b", "voltage", 9.0, MIDNIGHT)]))


def test_a_version_of_the_rules_says_which_profile_it_goes_by() -> None:
    def row(comparison: str) -> dict[str, Any]:
        return {
            "rule_id": comparison,
            "type": "voltage",
            "comparison": comparison,
            "threshold": 5,
            "severity": "info",
            "sensor_id": None,
        }

    parsed = rules.parse_rules(9, [row("above"), row("unusual")], 4)
    assert [rule.rule_id for rule in parsed.rules] == ["above"]
    assert parsed.unusual == rules.Unusual(9, 4, (rules.Rule("unusual", "voltage", "unusual", 5.0, "info"),))
    assert rules.parse_rules(9, [row("above"), row("unusual")]).unusual is None, "there is no profile yet"
    assert rules.parse_rules(9, [row("above")], 4).unusual is None


def test_the_plan_has_nothing_of_profiles_unless_a_rule_goes_by_one() -> None:
    def names(*, wanted: bool) -> list[str]:
        columns = sql_path.sink_columns(BusinessHours(), 1, "CAST(NULL AS STRING)", unusual=wanted)
        return [column.split()[-1] for column in columns]

    assert names(wanted=True) == [*names(wanted=False), "facts", "reading", "hour"]
    assert not {"facts", "reading", "hour"} & set(names(wanted=False))
