"""The signal model, the schedule, the messages and the settings: all pure."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from message_schemas import load_schema
from sensors_oracle.reference import DEFAULT_RULES, Reading, flags

from millrace_common.config import ConfigError, parse_config
from sensors_contract.readings import encode, format_time
from sensors_generator.schedule import first_tick, next_tick
from sensors_generator.settings import Settings
from sensors_generator.signals import PROFILES, readings

SCHEMA = jsonschema.Draft202012Validator(load_schema("measurement.v1"))
KINDS = st.sampled_from(sorted(PROFILES))
SHARES = st.sampled_from([0.0, 0.01, 0.5, 1.0])
RANGES = {"temperature": (10, 40), "pressure": (900, 1100), "voltage": (215, 245)}


def take(count: int, *arguments: object) -> list[float]:
    return list(itertools.islice(readings(*arguments), count))  # type: ignore[arg-type] # passed through


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(), kind=KINDS, share=SHARES)
def test_readings_stay_in_range_and_steps_and_repeat(seed: int, kind: str, share: float) -> None:
    values = take(300, seed, "a-1", kind, share)
    low, high = RANGES[kind]
    assert all(low <= value <= high for value in values)
    assert all(value == float(f"{value:.2f}") for value in values)
    assert values == take(300, seed, "a-1", kind, share)


def test_a_seed_gives_the_same_values_for_ever() -> None:
    assert take(4, 1, "temperature-1", "temperature", 0.1) == [25.38, 25.23, 25.27, 25.34]


@pytest.mark.parametrize("kind", sorted(PROFILES))
def test_other_seed_or_sensor_gives_other_values(kind: str) -> None:
    one = take(50, 1, "a-1", kind, 0.1)
    assert one != take(50, 2, "a-1", kind, 0.1)
    assert one != take(50, 1, "a-2", kind, 0.1)


@pytest.mark.parametrize("kind", sorted(PROFILES))
def test_the_share_of_anomalies_is_what_the_default_rules_flag(kind: str) -> None:
    def flagged(share: float) -> float:
        values = take(4000, 3, "a-1", kind, share)
        now = datetime.now(UTC)
        return sum(bool(flags(Reading("a-1", kind, value, now), DEFAULT_RULES)) for value in values) / len(
            values
        )

    assert flagged(0) == 0
    assert flagged(1) == 1
    assert 0.07 < flagged(0.1) < 0.13


@pytest.mark.parametrize("kind", sorted(PROFILES))
def test_readings_drift_slowly_and_are_noisy(kind: str) -> None:
    values = take(20_000, 5, "a-1", kind, 0)
    means = [sum(values[i : i + 1000]) / 1000 for i in range(0, len(values), 1000)]
    steps = [abs(b - a) for a, b in itertools.pairwise(values)]
    assert max(means) - min(means) > 3 * sum(steps) / len(steps)
    assert sum(step > 0 for step in steps) > len(steps) / 2


@settings(max_examples=60, deadline=None)
@given(
    kind=KINDS,
    index=st.integers(0, 50),
    moment=st.integers(0, 4_000_000_000_000_000),
    number=st.integers(1, 999),
)
def test_messages_fit_the_schema(kind: str, index: int, moment: int, number: int) -> None:
    value = take(index + 1, 1, f"{kind}-{number}", kind, 0.5)[-1]
    key, message = encode(f"{kind}-{number}", kind, value, format_time(moment))
    assert key.decode() == f"{kind}-{number}"
    SCHEMA.validate(json.loads(message))


MOMENTS = st.integers(0, 4_000_000_000_000_000)
INTERVALS = st.integers(1, 100_000_000)


@given(now=MOMENTS, interval=INTERVALS)
def test_the_first_tick_is_the_next_multiple(now: int, interval: int) -> None:
    tick = first_tick(now, interval)
    assert tick % interval == 0
    assert now < tick <= now + interval


@given(start=MOMENTS, interval=INTERVALS, late=st.integers(-100_000_000, 10_000_000_000))
def test_ticks_go_forward_and_none_is_left_out(start: int, interval: int, late: int) -> None:
    tick = first_tick(start, interval)
    now = max(0, tick + late)
    following = next_tick(tick, now, interval)
    assert following % interval == 0
    if late >= 0:
        assert following == tick + interval
    else:  # a clock that was set back starts anew
        assert following <= now + 2 * interval


def config(**changes: object) -> dict[str, object]:
    kafka = {"bootstrap_servers": ["kafka-1:9092"], "security_protocol": "PLAINTEXT"}
    return {"kafka": kafka, "http": {"port": 0}, "buffer": {"path": "b"}} | changes


def test_default_is_three_sensors_every_200_ms() -> None:
    parsed = parse_config(config(), Settings)
    assert [(s.sensor_id, s.type) for s in parsed.all_sensors()] == [
        ("temperature-1", "temperature"),
        ("pressure-1", "pressure"),
        ("voltage-1", "voltage"),
    ]
    assert parsed.interval_us() == 200_000


def test_count_and_rate_are_configurable() -> None:
    parsed = parse_config(config(count=7, rate=1000), Settings)
    assert parsed.all_sensors()[-1].sensor_id == "temperature-3"
    assert parsed.interval_us() == 7000
    listed = parse_config(
        config(sensors=[{"sensor_id": "roof", "type": "voltage"}], interval_ms=2.5), Settings
    )
    assert [s.sensor_id for s in listed.all_sensors()] == ["roof"]
    assert listed.interval_us() == 2500


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"count": 2, "sensors": [{"sensor_id": "a", "type": "voltage"}]},
            "count: give either sensors or count",
        ),
        ({"rate": 2, "interval_ms": 5}, "rate: give either interval_ms or rate"),
        ({"count": 0}, "count: expected at least 1, got 0"),
        ({"sensors": []}, "sensors: expected at least one sensor, got an empty list"),
        (
            {"sensors": [{"sensor_id": "a", "type": "voltage"}] * 2},
            "sensors: 'a' is there twice; ids must differ",
        ),
        (
            {"sensors": [{"sensor_id": "A", "type": "voltage"}]},
            "sensors[0].sensor_id: expected a text like temperature-1, got 'A'",
        ),
        (
            {"sensors": [{"sensor_id": "a", "type": "wind"}]},
            "sensors[0].type: expected one of 'temperature', 'pressure', 'voltage', got \"wind\"",
        ),
    ],
)
def test_settings_name_the_wrong_key(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(config(**changes), Settings)
    assert str(caught.value) == line
