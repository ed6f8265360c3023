"""The message contract (docs/message-contract.md) as Spark SQL expressions.

They judge any message. The job needs them only for batches that sensors_job.judge.fast_path can't decide,
the lake's query for all. Nearly every message takes a short way: one parse into typed columns, two patterns,
no surprise. Only what fails there gets a second look: parsed again, as VARIANT, to say why (or to accept it
after all: nested extra fields, spaces).
The short way is strict although from_json turns numbers into texts: no such text matches the id's pattern,
the timestamp's pattern or a known type, which is why the words true, false and null are no sensor ids.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sensors_job.judge.sqltext import number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensors_job.config import BusinessHours, Limits

SENSOR_ID = r"\A[a-z][a-z0-9_.-]{0,63}\z"
STAMP = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?Z\z"
# A bare NaN or Infinity is no JSON; for the second look it becomes a number beyond a double.
_BARE = r"([:,\[]\s*)(?:NaN|-?Infinity)(?=\s*[,}\]])"
SCHEMA = "sensor_id STRING, type STRING, value DOUBLE, unit STRING, timestamp STRING"
_TEXTS = ("sensor_id", "type", "unit", "timestamp")

Stage = list[str]
"""The columns of one projection, as Spark SQL."""


def _is_sensor_id(column: str) -> str:
    return f"({column} RLIKE {text(SENSOR_ID)} AND {column} NOT IN ('true', 'false', 'null'))"


def _kind(name: str) -> str:
    """Return the name of the JSON type of field `name`: null when absent, VOID for a JSON null."""
    return f"schema_of_variant(try_variant_get(again, '$[0].{name}', 'variant'))"


def stages(limits: Limits, types: Mapping[str, str]) -> list[Stage]:
    """Return the projections from Kafka's columns to a judged row.

    In: key, value, partition, offset, timestamp (the broker's). Out, besides these: reason (null when the
    message is a valid reading), sensor_id ('' when unknown), type, unit, reading, stamp (the timestamp as
    sent), event_time.
    """
    source = ["key", "value", "partition", "offset", "timestamp"]
    size = "octet_length(value)"
    read = [
        *source,
        f"CASE WHEN {size} BETWEEN 1 AND {limits.max_value_bytes} THEN CAST(value AS STRING) END AS message",
    ]
    parse = [
        *source,
        "message",
        f"from_json(message, {text(SCHEMA)}, map('allowSingleQuotes', 'false')) AS parsed",
    ]
    event_time = (
        f"CASE WHEN parsed.timestamp RLIKE {text(STAMP)} AND left(parsed.timestamp, 4) <> '0000'"
        " THEN TRY_CAST(parsed.timestamp AS TIMESTAMP) END"
    )
    split = [
        *source,
        "message",
        "parsed.sensor_id AS sensor_id",
        "parsed.type AS type",
        "parsed.unit AS unit",
        "parsed.value AS reading",
        "parsed.timestamp AS stamp",
        f"{event_time} AS event_time",
    ]
    fields = ["sensor_id", "type", "unit", "reading", "stamp", "event_time"]
    ahead = "(unix_micros(event_time) - unix_micros(timestamp))"
    pairs = " OR ".join(f"(type = {text(t)} AND unit = {text(u)})" for t, u in sorted(types.items()))
    units = f"({pairs})"
    past, future = -limits.max_past_seconds * 1_000_000, limits.max_future_seconds * 1_000_000
    # A flat object that ends with its first brace: nothing can follow it, so from_json has read it all. By
    # bytes, since to count characters takes several times as long.
    whole = (
        "startswith(message, '{') AND is_valid_utf8(message)"
        " AND octet_length(substring_index(message, '}', 1)) = octet_length(message) - 1"
    )
    good = (
        f"{whole} AND reading BETWEEN {number(-sys.float_info.max)} AND {number(sys.float_info.max)}"
        f" AND {units} AND {_is_sensor_id('sensor_id')} AND {ahead} BETWEEN {past} AND {future}"
    )
    quick = [*source, "message", *fields, f"coalesce({good}, false) AS good"]
    # Only rows that are not good cost anything here: an array of one, so that nothing may follow the object.
    bare = f"regexp_replace(message, {text(_BARE)}, '$11e999')"
    again = (
        "CASE WHEN NOT good AND is_valid_utf8(message)"
        f" AND try_parse_json('{{\"a\":' || {bare} || '}}') IS NOT NULL"
        f" THEN try_parse_json('[' || {bare} || ']') END"
    )
    second = [*source, *fields, "good", f"{again} AS again"]
    # Of a rejected message too, if its sensor can be told at all; coalesce, as unknown is not false.
    known = f"coalesce({_kind('sensor_id')} = 'STRING' AND {_is_sensor_id('sensor_id')}, false)"
    judged = [
        *source,
        "good",
        *fields[1:],
        f"CASE WHEN good OR {known} THEN sensor_id ELSE '' END AS sensor_id",
        f"{_reason(limits, types, size, units, ahead)} AS reason",
    ]
    return [read, parse, split, quick, second, judged]


def _reason(limits: Limits, types: Mapping[str, str], size: str, units: str, ahead: str) -> str:
    missing = " OR ".join(f"coalesce({_kind(name)}, 'VOID') = 'VOID'" for name in (*_TEXTS, "value"))
    wrong = " OR ".join(f"{_kind(name)} <> 'STRING'" for name in _TEXTS)
    known = ", ".join(text(name) for name in sorted(types))
    checks = [
        (f"{size} IS NULL OR {size} = 0", "empty"),
        (f"{size} > {limits.max_value_bytes}", "too_large"),
        ("again IS NULL OR try_variant_get(again, '$[1]', 'variant') IS NOT NULL", "not_json"),
        ("schema_of_variant(try_variant_get(again, '$[0]', 'variant')) NOT LIKE 'OBJECT%'", "not_json"),
        (missing, "missing_field"),
        (f"{wrong} OR NOT {_kind('value')} RLIKE '^(BIGINT|DECIMAL|DOUBLE|FLOAT)'", "wrong_type"),
        ("isnan(reading) OR abs(reading) = CAST('Infinity' AS DOUBLE)", "not_finite"),
        (f"NOT {_is_sensor_id('sensor_id')}", "bad_sensor_id"),
        (f"type NOT IN ({known})", "unknown_type"),
        (f"NOT {units}", "wrong_unit"),
        ("event_time IS NULL", "bad_timestamp"),
        (f"{ahead} > {limits.max_future_seconds * 1_000_000}", "too_far_in_future"),
        (f"{ahead} < {-limits.max_past_seconds * 1_000_000}", "too_far_in_past"),
        # Jackson refuses to read a number of more than 1,000 characters.
        ("reading IS NULL OR sensor_id IS NULL", "not_json"),
    ]
    cases = " ".join(f"WHEN {check} THEN '{reason}'" for check, reason in checks)
    return f"CASE WHEN good THEN NULL {cases} END"


def measurement_line(hours: BusinessHours, rules_version: int) -> str:
    """Return the SQL expression of a row's COPY line for sensors.measurements; null for a rejected row.

    Fields: event_time, sensor_id, type, value, source_partition, source_offset, appended_at, weekday, hour,
    business_hours, rules_version. Patterns have made sure that none of them needs escaping.
    """
    local = f"from_utc_timestamp(event_time, {text(hours.zone)})"
    days = ", ".join(str(day - 1) for day in sorted(set(hours.days)))
    business = (
        f"CASE WHEN weekday({local}) IN ({days}) AND hour({local}) >= {hours.start}"
        f" AND hour({local}) < {hours.end} THEN 't' ELSE 'f' END"
    )
    fields = (
        "stamp, sensor_id, type, CAST(reading AS STRING), CAST(partition AS STRING), CAST(offset AS STRING), "
        f"CAST(timestamp AS STRING), CAST(weekday({local}) + 1 AS STRING), CAST(hour({local}) AS STRING), "
        f"{business}"
    )
    return f"CASE WHEN reason IS NULL THEN concat_ws('\\t', {fields}, '{rules_version}') || '\\n' END"


def reject_line() -> str:
    r"""Return the SQL expression of a row's COPY line for stage_rejects; null for an accepted row.

    Fields: reason, sensor_id, source_offset, appended_at, key and value as bytea in hex (or \N).
    """
    key, value = (
        f"CASE WHEN {column} IS NULL THEN '\\\\N' ELSE '\\\\\\\\x' || hex({column}) END"
        for column in ("key", "value")
    )
    return (
        "CASE WHEN reason IS NOT NULL THEN concat_ws('\\t', reason, sensor_id, CAST(offset AS STRING), "
        f"CAST(timestamp AS STRING), {key}, {value}) || '\\n' END"
    )


def sink_columns(
    hours: BusinessHours,
    rules_version: int,
    anomaly_line: str,
    *,
    unusual: bool = False,
) -> Stage:
    """Return the last projection: what the tasks get, as sensors_job.store.sink names it.

    minute is where the reading's minute begins, in seconds since 1970; null, as type, for a rejected row.
    Key and value of accepted rows are for those that the database finds in conflict. With `unusual` come the
    columns that sensors_job.judge.baselines judges by: reading, its hour (UTC), and facts, the first fields
    of an anomaly's line.
    """
    original = [f"CASE WHEN reason IS NULL THEN {column} END AS {column}" for column in ("key", "value")]
    facts = "concat_ws('\\t', stamp, sensor_id, type, CAST(reading AS STRING), unit)"
    judged = [
        f"CASE WHEN reason IS NULL THEN {facts} END AS facts",
        "CASE WHEN reason IS NULL THEN reading END AS reading",
        # The session's zone is UTC.
        "CASE WHEN reason IS NULL THEN hour(event_time) END AS hour",
    ]
    return [
        "partition",
        "offset",
        "reason",
        "sensor_id",
        f"{measurement_line(hours, rules_version)} AS measurement_line",
        f"{anomaly_line} AS anomaly_line",
        f"{reject_line()} AS reject_line",
        "unix_millis(timestamp) AS appended_ms",
        "CASE WHEN reason IS NULL THEN type END AS type",
        "CASE WHEN reason IS NULL THEN unix_seconds(date_trunc('MINUTE', event_time)) END AS minute",
        *original,
        *(judged if unusual else []),
    ]
