"""The settings name what is wrong, and passwords show in no text form of them."""

from __future__ import annotations

from typing import Any

import pytest

from millrace_common.config import ConfigError, parse_config
from sensors_job import kafka_source
from sensors_job.config import JobSettings

SECRET = 'se"cr\\et'  # noqa: S105 - no password of anything
POSTGRES = {"host": "db-1", "database": "sensors", "username": "sensors_job"}


def settings(**changes: object) -> dict[str, Any]:
    base: dict[str, Any] = {
        "kafka": {
            "bootstrap_servers": ["kafka-1:9092", "kafka-2:9092"],
            "ca_file": "/etc/ca.crt",
            "username": "sensors-job",
            "password": SECRET,
        },
        "postgres": POSTGRES | {"ca_file": "/etc/ca.crt", "password": SECRET},
        "http": {"port": 9303},
        "run_directory": "/run/sensors-job",
    }
    return base | changes


def test_no_password_in_the_text_of_settings() -> None:
    assert "se" + '"cr' not in repr(parse_config(settings(), JobSettings))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"postgres": POSTGRES | {"password": "x"}},
            "postgres.ca_file: is missing; verify-full needs it",
        ),
        (
            {"postgres": POSTGRES | {"ca_file": "/x"}},
            "postgres.password: give exactly one of password and password_file",
        ),
        ({"business_hours": {"zone": "Mars/Base"}}, "business_hours.zone: expected a time zone"),
        ({"business_hours": {"start": 9, "end": 9}}, "business_hours.end: expected more than start"),
        ({"business_hours": {"days": [0]}}, "business_hours.days: expected ISO weekdays"),
        ({"max_offsets_per_trigger": 0}, "max_offsets_per_trigger: expected at least 1"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(settings(**changes), JobSettings)


def test_the_source_starts_at_the_ledger_with_one_task_a_partition() -> None:
    options = kafka_source.source_options(parse_config(settings(), JobSettings), {1: 5, 0: 17})
    assert options["startingOffsets"] == '{"sensors.measurements": {"0": 17, "1": 5}}'
    assert options["failOnDataLoss"] == "true"
    assert not {"minPartitions", "maxRecordsPerPartition"} & options.keys()


def test_the_login_is_quoted() -> None:
    parsed = parse_config(settings(), JobSettings)
    login = kafka_source.client_options(parsed.kafka)["sasl.jaas.config"]
    assert login.endswith(r'required username="sensors-job" password="se\"cr\\et";')


def test_lag_is_what_lies_beyond_the_batch() -> None:
    source = {"latestOffset": {"t": {"0": 10, "1": 4}}, "endOffset": {"t": {"0": 7, "1": 4}}}
    assert kafka_source.lag({"sources": [source]}) == 3
    assert kafka_source.lag({"sources": [{"latestOffset": None, "endOffset": None}]}) is None
