"""The fast path through the message contract: a record batch at a time, column by column, on Arrow.

Runs in the executors' Python workers. Takes plain messages alone: one flat object of scalars on one line,
without escapes, as producers write them. Of those it accepts what sensors_job.judge.sql_path accepts
(docs/message-contract.md; tests hold both against the same oracle) and makes the same rows of them; for all
else it raises UndecidedError, and the batch is judged by that module.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from sensors_job.judge.rules import concerns, copy_field
from sensors_job.judge.sql_path import SENSOR_ID, STAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sensors_job.config import BusinessHours, Limits
    from sensors_job.judge.rules import Rule, RuleSet

# pyarrow asks for these whenever it converts a value of Python's. Where one is missing, as both are on the
# executors, each time the whole path would be searched: half a millisecond, dozens of times a batch.
for _name in ("pandas", "dateutil"):
    if importlib.util.find_spec(_name) is None:
        sys.modules[_name] = None  # type: ignore[assignment] # what the import system knows as: not there

INPUT = ["key", "value", "partition", "offset", "timestamp"]
"""The columns of Kafka that judge() needs."""

MOST_BYTES = 1000
"""Longer messages take the full path: its parser refuses numbers of more than so many characters."""
_STRING = r'"[^"\\\x00-\x1f]*"'
# Without the whole number -0, of which Spark's parser, which the lake has too, makes 0.0, and Arrow's -0.0.
_NUMBER = r"(?:0|-?[1-9][0-9]*|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))"
_FIELD = f" *{_STRING} *: *(?:{_STRING}|{_NUMBER}|true|false|null) *"
FLAT = rf"\A\{{{_FIELD}(?:,{_FIELD})*\}}\z"
"""Arrow's parser is a little more lenient than JSON, and reads lines: this is JSON, and one line."""
_FIELDS = pa.schema(
    [
        ("sensor_id", pa.string()),
        ("type", pa.string()),
        ("unit", pa.string()),
        ("value", pa.float64()),
        ("timestamp", pa.string()),
    ]
)
_NO_IDS = pa.array(["true", "false", "null"])
_TIME = pa.timestamp("us", "UTC")
_MILLISECONDS = pa.timestamp("ms", "UTC")
_SECONDS = pa.timestamp("s", "UTC")


class UndecidedError(RuntimeError):
    """A message can be neither accepted nor rejected by the fast path."""


@dataclass(frozen=True)
class Contract:
    """What judge() goes by, in a form that needs nothing but this module on the executors.

    `units` are pairs of type and unit, sizes are in bytes, times in microseconds; `days`, `start`, `end` and
    `zone` are the business hours'.
    """

    max_bytes: int
    past: int
    future: int
    units: tuple[tuple[str, str], ...]
    zone: str
    days: tuple[int, ...]
    start: int
    end: int
    rules_version: int
    rules: tuple[Rule, ...]
    unusual: bool
    """Whether there are rules that go by a profile, too, which need more columns."""


def contract(limits: Limits, types: Mapping[str, str], hours: BusinessHours, rules: RuleSet) -> Contract:
    """Return the contract of the job's settings and the rules of one version that have thresholds."""
    return Contract(
        max_bytes=min(limits.max_value_bytes, MOST_BYTES),
        past=limits.max_past_seconds * 1_000_000,
        future=limits.max_future_seconds * 1_000_000,
        units=tuple(sorted(types.items())),
        zone=hours.zone,
        days=hours.days,
        start=hours.start,
        end=hours.end,
        rules_version=rules.version,
        rules=rules.rules,
        unusual=rules.unusual is not None,
    )


def judge(batch: Any, agreed: Contract) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the record batch that the sink takes for `batch`, which has the columns of INPUT.

    Its columns are those of validation.sink_columns(); no row of it is rejected. UndecidedError unless all of
    the messages are plain and valid.
    """
    try:
        fields = _parse(batch.column("value"), agreed.max_bytes)
        _check(fields, agreed)
        event_time = pc.cast(fields["timestamp"], _TIME)
    except pa.ArrowInvalid as error:
        raise UndecidedError(str(error)) from error
    appended = pc.cast(batch.column("timestamp"), _TIME)
    _check_age(event_time, appended, agreed)
    minutes = pc.cast(pc.floor_temporal(event_time, unit="minute"), _SECONDS).dictionary_encode()
    since_1970 = pc.cast(minutes.dictionary, pa.int64())
    # Few of them are different, and a time's text takes longer than all else.
    instants = appended.dictionary_encode()
    offset = pc.cast(batch.column("offset"), pa.string())
    facts = [fields[name] for name in ("timestamp", "sensor_id", "type")]
    facts += [pc.cast(fields["value"], pa.string()), fields["unit"]]
    lines = pc.binary_join_element_wise(
        *facts[:-1],
        pc.cast(batch.column("partition"), pa.string()),
        offset,
        pc.cast(instants.dictionary, pa.string()).take(instants.indices),
        _calendar(since_1970, agreed).take(minutes.indices),
        f"{agreed.rules_version}\n",
        "\t",
    )
    nothing = pa.nulls(batch.num_rows, pa.string())
    columns = {
        "partition": batch.column("partition"),
        "offset": batch.column("offset"),
        "reason": nothing,
        "sensor_id": fields["sensor_id"],
        "measurement_line": lines,
        "anomaly_line": _flag(fields, facts, offset, agreed),
        "reject_line": nothing,
        "appended_ms": pc.cast(pc.cast(appended, _MILLISECONDS), pa.int64()),
        "type": fields["type"],
        "minute": since_1970.take(minutes.indices),
        "key": batch.column("key"),
        "value": batch.column("value"),
    }
    if agreed.unusual:
        columns["facts"] = pc.binary_join_element_wise(*facts, "\t")
        columns |= {"reading": fields["value"], "hour": pc.hour(event_time)}
    return pa.RecordBatch.from_pydict(columns)


def _parse(values: Any, max_bytes: int) -> dict[str, Any]:  # noqa: ANN401 - pyarrow has no types
    """Return the contract's fields, null where a message lacks one; ArrowInvalid, UndecidedError."""
    if values.null_count or pc.max(pc.binary_length(values)).as_py() > max_bytes:
        raise UndecidedError
    texts = pc.cast(values, pa.string())
    if not pc.all(pc.match_substring_regex(texts, FLAT)).as_py():
        raise UndecidedError
    everything = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    lines = pc.binary_join(everything, "\n")[0].as_buffer()
    table = json.read_json(
        pa.BufferReader(lines),
        json.ReadOptions(use_threads=False, block_size=lines.size + 1),
        json.ParseOptions(explicit_schema=_FIELDS, unexpected_field_behavior="ignore"),
    )
    if table.num_rows != len(texts):
        raise UndecidedError
    return {name: table.column(name).combine_chunks() for name in _FIELDS.names}


def _check(fields: dict[str, Any], agreed: Contract) -> None:
    """Raise UndecidedError unless every reading is one by itself, its age aside."""
    sensor, stamp = fields["sensor_id"], fields["timestamp"]
    units = pa.array(["\n".join(pair) for pair in agreed.units])
    for holds in (
        pc.is_finite(fields["value"]),
        pc.match_substring_regex(sensor, SENSOR_ID),
        pc.invert(pc.is_in(sensor, value_set=_NO_IDS)),
        # No message has a line feed in it.
        pc.is_in(pc.binary_join_element_wise(fields["type"], fields["unit"], "\n"), value_set=units),
        pc.match_substring_regex(stamp, STAMP),
        pc.invert(pc.starts_with(stamp, "0000")),
    ):
        if holds.null_count or not pc.all(holds).as_py():
            raise UndecidedError


def _check_age(event_time: Any, appended: Any, agreed: Contract) -> None:  # noqa: ANN401 - pyarrow has no types
    ahead = pc.subtract(pc.cast(event_time, pa.int64()), pc.cast(appended, pa.int64()))
    bounds = pc.min_max(ahead).as_py()
    if bounds["min"] < -agreed.past or bounds["max"] > agreed.future:
        raise UndecidedError


def _calendar(minutes: Any, agreed: Contract) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return, as one text each, the fields weekday (ISO), hour and business hours (t, f) of local times.

    `minutes` are in seconds since 1970.
    """
    zone = ZoneInfo(agreed.zone)
    texts = []
    for minute in minutes.to_pylist():
        local = datetime.fromtimestamp(minute, zone)
        business = local.isoweekday() in agreed.days and agreed.start <= local.hour < agreed.end
        texts.append(f"{local.isoweekday()}\t{local.hour}\t{'t' if business else 'f'}")
    return pa.array(texts, pa.string())


def _flag(fields: dict[str, Any], facts: list[Any], offset: Any, agreed: Contract) -> Any:  # noqa: ANN401 - as above
    """Return COPY lines for stage_anomalies, one text a row: null for most, several lines for some."""
    kinds, sensors = (fields[name].dictionary_encode() for name in ("type", "sensor_id"))
    flags = [_flagged(rule, kinds, sensors, fields["value"]) for rule in agreed.rules]
    nothing = pa.nulls(len(offset), pa.string())
    flagged = functools.reduce(pc.or_, flags, nothing.is_valid())
    if not pc.any(flagged).as_py():
        return nothing
    few = [column.filter(flagged) for column in facts]
    ends = pc.binary_join_element_wise(offset.filter(flagged), "", "\n")
    lines = [
        pc.if_else(
            flag.filter(flagged), pc.binary_join_element_wise(*few, _ruling(rule, agreed), ends, "\t"), ""
        )
        for rule, flag in zip(agreed.rules, flags, strict=True)
    ]
    return pc.replace_with_mask(nothing, flagged, pc.binary_join_element_wise(*lines, ""))


def _ruling(rule: Rule, agreed: Contract) -> str:
    fields = (copy_field(rule.rule_id), copy_field(rule.severity), repr(rule.threshold))
    return "\t".join((*fields, str(agreed.rules_version)))


def _flagged(rule: Rule, kinds: Any, sensors: Any, values: Any) -> Any:  # noqa: ANN401 - as above
    """Return which rows `rule` flags, what rules.condition() says in SQL: texts are looked at once each."""
    beyond: Callable[[Any, float], Any] = pc.greater if rule.comparison == "above" else pc.less
    its_kind = pa.array([kind == rule.type for kind in kinds.dictionary.to_pylist()], pa.bool_())
    its_sensors = pa.array([concerns(rule, name) for name in sensors.dictionary.to_pylist()], pa.bool_())
    concerned = pc.and_(its_kind.take(kinds.indices), its_sensors.take(sensors.indices))
    return pc.and_(concerned, beyond(values, rule.threshold))
