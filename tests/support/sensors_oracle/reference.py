"""The message contract in plain Python: the oracle that tests hold the Spark job against.

It follows docs/message-contract.md and shares no code with the job. Slow and simple on purpose.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNITS = {"temperature": "°C", "pressure": "hPa", "voltage": "V"}
FIELDS = ("sensor_id", "type", "value", "unit", "timestamp")
UNKNOWN_SENSOR = ""
_SENSOR_ID = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


@dataclass(frozen=True)
class Limits:
    """The configurable limits of the contract."""

    max_value_bytes: int = 65_536
    max_future: timedelta = timedelta(seconds=60)
    max_past: timedelta = timedelta(days=30)


@dataclass(frozen=True)
class Reading:
    """A valid reading; `value` in the unit of its type, `event_time` in UTC."""

    sensor_id: str
    type: str
    value: float
    event_time: datetime

    @property
    def identity(self) -> tuple[str, str, datetime]:
        """What makes two messages the same reading."""
        return self.sensor_id, self.type, self.event_time


@dataclass(frozen=True)
class Rejection:
    """Why a message is refused, and the sensor it counts for ('' when unknown)."""

    reason: str
    sensor_id: str = UNKNOWN_SENSOR


@dataclass(frozen=True)
class Verdict:
    """What becomes of one message; `reason` only when rejected, `reading` whenever it is well-formed."""

    outcome: Literal["stored", "duplicate", "rejected"]
    sensor_id: str
    reason: str | None = None
    reading: Reading | None = None

    @property
    def kept(self) -> Reading | None:
        """What the lake keeps of it: also a reading that repeats or contradicts another one."""
        valid = self.outcome != "rejected" or self.reason == "conflicting_value"
        return self.reading if valid else None


Profile = dict[tuple[str, str, int], tuple[float, float]]
"""Sensor id, type and hour of the day (UTC) -> its baseline: centre and spread, in the unit of the type."""


@dataclass(frozen=True)
class Rule:
    """An anomaly rule; the comparison is strict.

    An `unusual` one flags what is more than `threshold` spreads away from the centre of a profile, and
    nothing where the profile is silent. `sensor_id` None means every sensor of the type, `except_sensor_id`
    None that none is left out. A `*` at the end of either stands for any rest.
    """

    rule_id: str
    type: str
    comparison: Literal["above", "below", "unusual"]
    threshold: float
    severity: str
    sensor_id: str | None = None
    except_sensor_id: str | None = None

    def concerns(self, sensor_id: str) -> bool:
        """Tell whether the rule judges this sensor, if the type is right."""
        wanted = self.sensor_id is None or _names(self.sensor_id, sensor_id)
        return wanted and not (self.except_sensor_id is not None and _names(self.except_sensor_id, sensor_id))

    def crossed(self, reading: Reading, profile: Profile) -> float | None:
        """Return the bound that a reading of the rule's type and sensors lies beyond; None if it does not."""
        if self.comparison == "above":
            return self.threshold if reading.value > self.threshold else None
        if self.comparison == "below":
            return self.threshold if reading.value < self.threshold else None
        usual = profile.get((reading.sensor_id, reading.type, reading.event_time.hour))
        if usual is None:
            return None
        centre, spread = usual
        low, high = centre - self.threshold * spread, centre + self.threshold * spread
        return low if reading.value < low else high if reading.value > high else None


def _names(pattern: str, sensor_id: str) -> bool:
    beginning, star, _ = pattern.partition("*")
    return sensor_id[: len(beginning)] == beginning if star else sensor_id == pattern


DEFAULT_RULES = (
    Rule("temperature-high", "temperature", "above", 35, "warning", None, "weather-*"),
    Rule("pressure-low", "pressure", "below", 950, "warning", None, "weather-*"),
    Rule("voltage-low", "voltage", "below", 220, "critical", None, "weather-*"),
    Rule("voltage-high", "voltage", "above", 240, "critical", None, "weather-*"),
    Rule("weather-temperature-high", "temperature", "above", 32, "warning", "weather-*"),
    Rule("weather-temperature-low", "temperature", "below", -10, "warning", "weather-*"),
    Rule("weather-pressure-high", "pressure", "above", 1040, "info", "weather-*"),
    Rule("weather-pressure-low", "pressure", "below", 990, "warning", "weather-*"),
)


def is_sensor_id(text: str) -> bool:
    """Tell whether `text` is a valid sensor id."""
    return _SENSOR_ID.fullmatch(text) is not None and text not in ("true", "false", "null")


def flags(
    reading: Reading, rules: Iterable[Rule] = DEFAULT_RULES, profile: Profile | None = None
) -> tuple[str, ...]:
    """Return the ids of the rules that flag `reading`; `profile` is for the unusual ones."""
    return tuple(
        rule.rule_id
        for rule in rules
        if rule.type == reading.type
        and rule.concerns(reading.sensor_id)
        and rule.crossed(reading, profile or {}) is not None
    )


def judge(value: bytes | None, appended_at: datetime, limits: Limits = Limits()) -> Reading | Rejection:
    """Judge one message by itself; `appended_at` is the broker's time."""
    message = _parse(value, limits)
    if isinstance(message, str):
        return Rejection(message)
    sensor_id = message.get("sensor_id")
    known = sensor_id if isinstance(sensor_id, str) and is_sensor_id(sensor_id) else UNKNOWN_SENSOR
    reason = _shape(message) or _content(message)
    if reason:
        return Rejection(reason, known)
    event_time = _event_time(message["timestamp"], appended_at, limits)
    if isinstance(event_time, str):
        return Rejection(event_time, known)
    return Reading(message["sensor_id"], message["type"], message["value"], event_time)


@dataclass
class Reference:
    """Judges the messages of a partition (or of whole sensors) one after another, duplicates included."""

    limits: Limits = field(default_factory=Limits)
    _stored: dict[tuple[str, str, datetime], float] = field(default_factory=dict)

    def judge(self, value: bytes | None, appended_at: datetime) -> Verdict:
        """Judge the next message."""
        judged = judge(value, appended_at, self.limits)
        if isinstance(judged, Rejection):
            return Verdict("rejected", judged.sensor_id, judged.reason)
        if judged.identity not in self._stored:
            self._stored[judged.identity] = judged.value
            return Verdict("stored", judged.sensor_id, None, judged)
        if self._stored[judged.identity] == judged.value:
            return Verdict("duplicate", judged.sensor_id, None, judged)
        return Verdict("rejected", judged.sensor_id, "conflicting_value", judged)


# Each of the following returns what it read, or the reason why that can't be read.


def _parse(value: bytes | None, limits: Limits) -> Mapping[str, Any] | str:
    if not value:
        return "empty"
    if len(value) > limits.max_value_bytes:
        return "too_large"
    try:
        # Whole numbers become floats too: what is beyond a float is infinite, whatever its notation.
        message = json.loads(value.decode("utf-8"), parse_int=float)
    except (ValueError, RecursionError):
        return "not_json"
    return message if isinstance(message, dict) else "not_json"


def _shape(message: Mapping[str, Any]) -> str | None:
    if any(message.get(name) is None for name in FIELDS):
        return "missing_field"
    texts = all(isinstance(message[name], str) for name in FIELDS if name != "value")
    if not texts or not isinstance(message["value"], float):
        return "wrong_type"
    return None if math.isfinite(message["value"]) else "not_finite"


def _content(message: Mapping[str, Any]) -> str | None:
    if not is_sensor_id(message["sensor_id"]):
        return "bad_sensor_id"
    if message["type"] not in UNITS:
        return "unknown_type"
    return None if message["unit"] == UNITS[message["type"]] else "wrong_unit"


def _event_time(text: str, appended_at: datetime, limits: Limits) -> datetime | str:
    if not _TIMESTAMP.fullmatch(text):
        return "bad_timestamp"
    shape = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    try:
        event_time = datetime.strptime(text, shape).replace(tzinfo=UTC)
    except ValueError:  # the shape of a date, but none that exists
        return "bad_timestamp"
    if event_time - appended_at > limits.max_future:
        return "too_far_in_future"
    return "too_far_in_past" if appended_at - event_time > limits.max_past else event_time
