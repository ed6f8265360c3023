"""Anomaly rules: data from the database; those with a threshold are turned into one Spark SQL expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensors_job.judge.sqltext import number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COMPARISONS = {"above": ">", "below": "<"}
UNUSUAL = "unusual"
"""The comparison of a rule that goes by a profile (sensors_job.judge.baselines)."""


@dataclass(frozen=True)
class Rule:
    """Flags readings of `type` beyond `threshold`, or UNUSUAL ones: so many spreads away from the centre.

    `sensor_id` is an id, or the beginning of ids and `*`, or None for every sensor; `except_sensor_id` names
    the sensors that are left out in the same way, None for none.
    """

    rule_id: str
    type: str
    comparison: str
    threshold: float
    severity: str
    sensor_id: str | None = None
    except_sensor_id: str | None = None


@dataclass(frozen=True)
class Unusual:
    """The rules of one version that go by a profile, and the profile's version: what executors are handed."""

    rules_version: int
    profile_version: int
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class RuleSet:
    """The rules of one version; each reading and anomaly names the version that judged it."""

    version: int
    rules: tuple[Rule, ...]
    """Those that compare with a threshold."""
    unusual: Unusual | None = None
    """None where no enabled rule goes by a profile, or there is no profile yet."""


def parse_rules(
    version: int, rows: Iterable[Mapping[str, Any]], profile_version: int | None = None
) -> RuleSet:
    """Make a RuleSet of a row of sensors.rule_versions; ValueError for an unknown comparison."""
    rules = tuple(
        Rule(
            rule_id=row["rule_id"],
            type=row["type"],
            comparison=row["comparison"],
            threshold=float(row["threshold"]),
            severity=row["severity"],
            sensor_id=row["sensor_id"],
            except_sensor_id=row.get("except_sensor_id"),  # versions of before 0005_rule_reach.sql lack it
        )
        for row in rows
    )
    for rule in rules:
        if rule.comparison not in (*_COMPARISONS, UNUSUAL):
            known = ", ".join((*_COMPARISONS, UNUSUAL))
            message = f"rule {rule.rule_id}: comparison {rule.comparison!r} is none of {known}"
            raise ValueError(message)
    thresholds = tuple(rule for rule in rules if rule.comparison != UNUSUAL)
    others = tuple(rule for rule in rules if rule.comparison == UNUSUAL)
    by_profile = Unusual(version, profile_version, others) if others and profile_version is not None else None
    return RuleSet(version, thresholds, by_profile)


def concerns(rule: Rule, sensor_id: str) -> bool:
    """Tell whether `rule` judges this sensor, if the type is right: what condition() says in SQL."""
    if rule.sensor_id is not None and not _names(rule.sensor_id, sensor_id):
        return False
    return rule.except_sensor_id is None or not _names(rule.except_sensor_id, sensor_id)


def _names(pattern: str, sensor_id: str) -> bool:
    if pattern.endswith("*"):
        return sensor_id.startswith(pattern[:-1])
    return sensor_id == pattern


def _named(pattern: str) -> str:
    """Return the SQL condition under which `pattern`, an id or a beginning and `*`, names a row's sensor."""
    if pattern.endswith("*"):
        return f"startswith(sensor_id, {text(pattern[:-1])})"
    return f"sensor_id = {text(pattern)}"


def condition(rule: Rule) -> str:
    """Return the SQL condition under which `rule` flags a row with columns type, sensor_id and reading."""
    parts = [f"type = {text(rule.type)}"]
    if rule.sensor_id is not None:
        parts.append(_named(rule.sensor_id))
    if rule.except_sensor_id is not None:
        parts.append(f"NOT {_named(rule.except_sensor_id)}")
    parts.append(f"reading {_COMPARISONS[rule.comparison]} {number(rule.threshold)}")
    return " AND ".join(parts)


def copy_field(value: str) -> str:
    """Escape `value` for one field of COPY's text format."""
    for character, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(character, escaped)
    return value


def anomaly_line(rules: RuleSet) -> str:
    """Return the SQL expression of a row's COPY lines for stage_anomalies; null when no rule flags the row.

    A row that several rules flag gets several lines. Only literals of the rules go in, nothing that changes
    with time, so Spark compiles the expression once per version of the rules.
    """
    lines = [
        f"CASE WHEN {condition(rule)} THEN concat_ws({text(chr(9))}, stamp, sensor_id, type, "
        f"CAST(reading AS STRING), unit, {text(copy_field(rule.rule_id))}, "
        f"{text(copy_field(rule.severity))}, {text(repr(rule.threshold))}, {text(str(rules.version))}, "
        f"CAST(offset AS STRING)) || {text(chr(10))} END"
        for rule in rules.rules
    ]
    if not lines:
        return "CAST(NULL AS STRING)"
    return f"CASE WHEN reason IS NULL THEN nullif(concat_ws('', {', '.join(lines)}), '') END"
