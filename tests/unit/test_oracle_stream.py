"""Test streams against the reference: two independent ways to the verdict must agree."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_schemas import load_schema
from sensors_oracle.invalid import Invalid, variants
from sensors_oracle.reference import Limits, Reading, Reference, Rejection, Rule, flags, judge
from sensors_oracle.stream import Item, scenario, span, summary

SENSORS = {"temperature-1": "temperature", "pressure-1": "pressure", "voltage-1": "voltage"}
START = datetime(2026, 11, 21, 19, tzinfo=UTC)
MESSAGE = {
    "sensor_id": "temperature-1",
    "type": "temperature",
    "value": 21.53,
    "unit": "°C",
    "timestamp": "2026-11-21T19:00:00.200Z",
}
SCHEMA = jsonschema.Draft202012Validator(load_schema("measurement.v1"))
REASONS = set(load_schema("rejected.v1")["properties"]["reason"]["enum"])


def stream(seed: int = 1, count: int = 3000) -> list[Item]:
    return list(scenario(seed, count, SENSORS, START))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(), count=st.integers(0, 400))
def test_the_reference_agrees_with_how_messages_were_made(seed: int, count: int) -> None:
    items = stream(seed, count)
    reference = Reference()
    for item in items:
        verdict = reference.judge(item.value, START + span(count, len(SENSORS)))
        assert verdict == item.expected, item
        if verdict.outcome == "stored":
            assert verdict.reading is not None
            assert flags(verdict.reading) == item.rules
    assert len(items) == count


def test_a_stream_repeats() -> None:
    assert stream() == stream()
    assert stream() != stream(2)


def test_a_stream_has_every_reason_and_every_invalid_kind() -> None:
    items = stream()
    assert {i.expected.reason for i in items if i.expected.reason} == REASONS
    made = {variant.name for variant in variants(MESSAGE, Limits())}
    own = ("timestamp = ", "value = '", "unit = ")  # these names hold what is different in each message
    fixed = {name for name in made if not name.startswith(own)}
    assert fixed <= {item.note for item in items}
    assert {"plain", "late", "duplicate", "conflicting"} < {item.note for item in items}
    assert {rule for item in items for rule in item.rules} == {
        "temperature-high",
        "pressure-low",
        "voltage-low",
        "voltage-high",
    }


def test_shares_are_kept() -> None:
    items = stream(count=10_000)
    notes = Counter(
        item.note if item.expected.reason in (None, "conflicting_value") else "invalid" for item in items
    )
    assert notes["invalid"] == pytest.approx(1000, rel=0.15)
    assert notes["duplicate"] == pytest.approx(500, rel=0.2)
    assert notes["conflicting"] == pytest.approx(200, rel=0.3)
    assert notes["late"] == pytest.approx(500, rel=0.2)


def test_repeats_name_what_they_repeat() -> None:
    items = stream()
    for item in items:
        if item.duplicate_of is not None:
            first = items[item.duplicate_of].expected.reading
            assert first is not None
            assert item.expected.reading is not None
            assert first.identity == item.expected.reading.identity
            assert (first.value == item.expected.reading.value) == (item.expected.outcome == "duplicate")


@pytest.mark.parametrize("variant", variants(MESSAGE, Limits()), ids=lambda v: v.name)
def test_every_invalid_kind_is_refused_for_its_reason(variant: Invalid) -> None:
    appended = datetime(2026, 11, 21, 19, 0, 1, tzinfo=UTC)
    sensor = "temperature-1" if variant.attributed else ""
    assert judge(variant.value, appended) == Rejection(variant.reason, sensor)


BY_SHAPE = {"missing_field", "wrong_type", "bad_sensor_id", "unknown_type", "wrong_unit"}


@pytest.mark.parametrize(
    "variant", [v for v in variants(MESSAGE, Limits()) if v.reason in BY_SHAPE], ids=lambda v: v.name
)
def test_the_schema_refuses_what_the_contract_refuses_by_shape(variant: Invalid) -> None:
    assert variant.value is not None
    assert not SCHEMA.is_valid(json.loads(variant.value))


@settings(max_examples=100, deadline=None)
@given(
    instant=st.datetimes(datetime(2026, 10, 25), datetime(2026, 11, 21)).map(lambda d: d.replace(tzinfo=UTC)),  # noqa: DTZ001 - the zone is set after
    value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15),
    extra=st.dictionaries(st.text(max_size=5).map(lambda name: f"x{name}"), st.booleans(), max_size=2),
)
def test_what_is_valid_is_read_exactly(instant: datetime, value: float, extra: dict[str, bool]) -> None:
    text = instant.isoformat().removesuffix("+00:00") + "Z"
    message = json.dumps({**MESSAGE, "value": value, "timestamp": text, **extra}).encode()
    assert judge(message, START) == Reading("temperature-1", "temperature", float(value), instant)


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (timedelta(seconds=60), None),
        (timedelta(seconds=60, microseconds=1), "too_far_in_future"),
        (timedelta(days=-30), None),
        (timedelta(days=-30, microseconds=-1), "too_far_in_past"),
    ],
)
def test_exactly_at_a_limit_of_time_is_allowed(ahead: timedelta, expected: str | None) -> None:
    text = (START + ahead).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    judged = judge(json.dumps(MESSAGE | {"timestamp": text}).encode(), START)
    assert (judged.reason if isinstance(judged, Rejection) else None) == expected


def test_exactly_at_the_limit_of_size_is_allowed() -> None:
    message = json.dumps(MESSAGE).encode()
    appended = START + timedelta(seconds=1)
    assert isinstance(judge(message, appended, Limits(max_value_bytes=len(message))), Reading)
    assert judge(message, appended, Limits(max_value_bytes=len(message) - 1)) == Rejection("too_large")


def test_the_first_failing_check_gives_the_reason() -> None:
    everything = {"sensor_id": "A", "type": "x", "value": "1", "unit": "y", "timestamp": "z"}
    steps: list[tuple[str, dict[str, object]]] = [
        ("wrong_type", {}),
        ("not_finite", {"value": float("nan")}),
        ("bad_sensor_id", {"value": 1}),
        ("unknown_type", {"sensor_id": "a"}),
        ("wrong_unit", {"type": "voltage"}),
        ("bad_timestamp", {"unit": "V"}),
        ("too_far_in_past", {"timestamp": "2000-01-01T00:00:00Z"}),
    ]
    for reason, change in steps:
        everything |= change  # type: ignore[arg-type] # wrong types are what is tried
        judged = judge(json.dumps(everything).encode(), START)
        assert isinstance(judged, Rejection)
        assert judged.reason == reason


def test_rules_are_strict_and_may_name_a_sensor() -> None:
    rules = (Rule("a", "voltage", "above", 240, "info"), Rule("b", "voltage", "below", 250, "info", "other"))
    assert flags(Reading("v", "voltage", 240, START), rules) == ()
    assert flags(Reading("v", "voltage", 240.01, START), rules) == ("a",)
    assert flags(Reading("other", "voltage", 240, START), rules) == ("b",)
    assert flags(Reading("other", "pressure", 240, START), rules) == ()


@pytest.mark.parametrize(
    ("sensor_id", "except_sensor_id", "flagged"),
    [
        (None, None, {"weather-ewr", "weather-jfk", "weatherman"}),
        ("weather-*", None, {"weather-ewr", "weather-jfk"}),
        ("weather-", None, set()),
        (None, "weather-*", {"weatherman"}),
        (None, "weather-ewr", {"weather-jfk", "weatherman"}),
        ("weather-*", "weather-j*", {"weather-ewr"}),
        ("weather-ewr", "weather-*", set()),
    ],
)
def test_rules_may_name_sensors_by_their_beginning_and_leave_some_out(
    sensor_id: str | None, except_sensor_id: str | None, flagged: set[str]
) -> None:
    rule = Rule("a", "voltage", "above", 1, "info", sensor_id, except_sensor_id)
    sensors = {"weather-ewr", "weather-jfk", "weatherman"}
    assert {name for name in sensors if flags(Reading(name, "voltage", 2, START), [rule])} == flagged


def test_the_weather_is_judged_by_rules_of_its_own() -> None:
    def ids(sensor: str, kind: str, value: float) -> tuple[str, ...]:
        return flags(Reading(sensor, kind, value, START))

    assert ids("weather-ewr-temperature", "temperature", 37.8) == ("weather-temperature-high",)
    assert ids("weather-ewr-temperature", "temperature", -11.7) == ("weather-temperature-low",)
    assert ids("weather-ewr-pressure", "pressure", 983.8) == ("weather-pressure-low",)
    assert ids("temperature-1", "temperature", 37.8) == ("temperature-high",)
    assert ids("temperature-1", "temperature", -11.7) == ids("pressure-1", "pressure", 983.8) == ()


def test_the_summary_adds_up() -> None:
    items = stream()
    figures = summary(items)
    assert sum(counts["produced"] for counts in figures["sensors"].values()) == len(items)
    for counts in figures["sensors"].values():
        assert counts["produced"] == counts["stored"] + counts["duplicates"] + counts["rejected"]
    assert sum(figures["reasons"].values()) == sum(c["rejected"] for c in figures["sensors"].values())
    assert len(figures["anomalies"]) == sum(len(item.rules) for item in items)


def test_a_huge_message_comes_once() -> None:
    items = list(scenario(1, 3000, SENSORS, START, huge_bytes=1_000_000))
    sizes = Counter(len(item.value or b"") for item in items if item.expected.reason == "too_large")
    assert sizes[1_000_000] == 1
    assert len(sizes) == 2
