"""Rules from the database become one SQL expression, with every literal escaped."""

from __future__ import annotations

from typing import Any

import pytest

from sensors_job.judge.rules import anomaly_line, condition, copy_field, parse_rules
from sensors_job.judge.sqltext import number, text


def row(**changes: object) -> dict[str, Any]:
    base: dict[str, Any] = {
        "rule_id": "hot",
        "type": "temperature",
        "comparison": "above",
        "threshold": 35,
        "severity": "warning",
        "sensor_id": None,
    }
    return base | changes


def test_condition_is_strict_and_names_the_sensor_only_if_the_rule_does() -> None:
    rules = parse_rules(7, [row(), row(comparison="below", threshold=-1.5, sensor_id="a-1")]).rules
    assert condition(rules[0]) == "type = 'temperature' AND reading > 35.0D"
    assert condition(rules[1]) == "type = 'temperature' AND sensor_id = 'a-1' AND reading < -1.5D"


def test_a_star_stands_for_any_rest_and_sensors_may_be_left_out() -> None:
    changes = [
        {"sensor_id": "weather-*"},
        {"except_sensor_id": "weather-*"},
        {"sensor_id": "weather-*", "except_sensor_id": "weather-jfk-temperature"},
    ]
    hot, inside, all_but_one = map(condition, parse_rules(8, [row(**change) for change in changes]).rules)
    assert hot == "type = 'temperature' AND startswith(sensor_id, 'weather-') AND reading > 35.0D"
    assert inside == "type = 'temperature' AND NOT startswith(sensor_id, 'weather-') AND reading > 35.0D"
    assert (
        "AND startswith(sensor_id, 'weather-') AND NOT sensor_id = 'weather-jfk-temperature' AND"
        in all_but_one
    )


def test_a_version_of_before_exceptions_is_still_read() -> None:
    assert parse_rules(1, [row()]).rules[0].except_sensor_id is None


def test_no_rules_flag_nothing() -> None:
    assert anomaly_line(parse_rules(1, [])) == "CAST(NULL AS STRING)"


def test_the_expression_depends_on_nothing_but_the_rules() -> None:
    rules = parse_rules(3, [row(), row(rule_id="cold", comparison="below", threshold=0)])
    assert anomaly_line(rules) == anomaly_line(
        parse_rules(3, [row(), row(rule_id="cold", comparison="below", threshold=0)])
    )
    assert anomaly_line(rules).count("CASE WHEN type") == 2


def test_an_unknown_comparison_is_an_error() -> None:
    with pytest.raises(ValueError, match="rule hot: comparison 'equal' is none of above, below"):
        parse_rules(1, [row(comparison="equal")])


@pytest.mark.parametrize(
    ("value", "literal"),
    [("a", "'a'"), ("it's", r"'it\'s'"), ("a\\d", r"'a\\d'"), ("\t\n", r"'\t\n'")],
)
def test_text_literals_are_escaped(value: str, literal: str) -> None:
    assert text(value) == literal


def test_numbers_read_back_as_the_same_number_or_are_refused() -> None:
    assert number(0.1 + 0.2) == "0.30000000000000004D"
    with pytest.raises(ValueError, match="not a finite number"):
        number(float("inf"))


def test_copy_fields_are_escaped() -> None:
    assert copy_field("a\tb\\c\nd\re") == "a\\tb\\\\c\\nd\\re"
