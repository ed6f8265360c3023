"""The message schemas, and the messages that producers make."""

from __future__ import annotations

import json

import jsonschema
import message_schemas as schemas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors_contract.readings import UNITS, encode, format_time, is_sensor_id

READING = {
    "sensor_id": "temperature-1",
    "type": "temperature",
    "value": 21.53,
    "unit": "°C",
    "timestamp": "2026-11-21T19:00:00.200Z",
}
ANOMALY = READING | {
    "rule_id": "temperature-high",
    "severity": "warning",
    "threshold": 35,
    "rules_version": 1,
    "topic": "sensors.measurements",
    "partition": 0,
    "offset": 0,
}
REJECTED = {
    "reason": "empty",
    "topic": "sensors.measurements",
    "partition": 0,
    "offset": 0,
    "appended_at": "2026-11-21T19:00:00.200Z",
    "key_base64": None,
    "value_base64": "AA==",
}
EXAMPLES = {"measurement.v1": READING, "anomaly.v1": ANOMALY, "rejected.v1": REJECTED}


@pytest.mark.parametrize("name", schemas.NAMES)
def test_schemas_accept_the_example_and_need_every_key(name: str) -> None:
    schema = schemas.load_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(EXAMPLES[name])
    for key in EXAMPLES[name]:
        assert not validator.is_valid({k: v for k, v in EXAMPLES[name].items() if k != key}), key


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "hPa"},
        {"type": "humidity"},
        {"value": "21"},
        {"value": True},
        {"sensor_id": "null"},
        {"sensor_id": "Temperature-1"},
        {"sensor_id": "temperature-1\n"},
        {"sensor_id": "a" * 65},
        {"timestamp": "2026-11-21T19:00:00"},
        {"timestamp": "2026-11-21T19:00:00+00:00"},
        {"timestamp": "2026-11-21T19:00:00.1234567Z"},
        {"timestamp": "2026-11-21T19:00:00Z\n"},
    ],
)
def test_measurement_schema_refuses(change: dict[str, object]) -> None:
    validator = jsonschema.Draft202012Validator(schemas.load_schema("measurement.v1"))
    assert not validator.is_valid(READING | change)


SENSOR_IDS = (
    st.text(max_size=3)
    | st.text("az09_.-A\n é", max_size=66)
    | st.sampled_from(["true", "false", "null", "a" * 64, "a" * 65])
)


@given(SENSOR_IDS)
def test_producers_and_the_schema_agree_on_sensor_ids(text: str) -> None:
    validator = jsonschema.Draft202012Validator(schemas.load_schema("measurement.v1"))
    assert is_sensor_id(text) == validator.is_valid(READING | {"sensor_id": text})


def test_unknown_schema_lists_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"no schema named 'x'; there are: anomaly\.v1"):
        schemas.load_schema("x")


@pytest.mark.parametrize("kind", sorted(UNITS))
def test_messages_fit_the_schema(kind: str) -> None:
    key, value = encode(f"{kind}-1", kind, -0.5, format_time(1_795_287_600_200_001))
    assert key == f"{kind}-1".encode()
    jsonschema.Draft202012Validator(schemas.load_schema("measurement.v1")).validate(json.loads(value))


def test_times_have_milliseconds_unless_finer() -> None:
    assert format_time(1_795_287_600_200_000) == "2026-11-21T19:00:00.200Z"
    assert format_time(0) == "1970-01-01T00:00:00.000Z"
    assert format_time(1_795_287_600_200_001) == "2026-11-21T19:00:00.200001Z"
