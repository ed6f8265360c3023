"""Invalid messages for test streams: every way of the contract's reasons, made from a valid reading."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensors_oracle.reference import Limits


@dataclass(frozen=True)
class Invalid:
    """One invalid message: its value, the reason, and whether its sensor can be told from the value."""

    name: str
    reason: str
    value: bytes | None
    attributed: bool


def dump(message: object) -> bytes:
    """Return `message` as JSON, UTF-8."""
    return json.dumps(message, ensure_ascii=False).encode()


def variants(message: Mapping[str, Any], limits: Limits) -> list[Invalid]:
    """Return every kind of invalid message that can be made from the valid `message`."""
    return [
        *_raw(message, limits),
        *_shapes(message),
        *_numbers(message),
        *_contents(message),
        *_times(message, limits),
    ]


def _raw(message: Mapping[str, Any], limits: Limits) -> list[Invalid]:
    good = dump(message)
    not_json = {
        "text": b"hello",
        "blank": b"   ",
        "half an object": good[: len(good) // 2],
        "two objects": good + good,
        "text after the object": good + b" x",
        "single quotes": good.replace(b'"', b"'"),
        "trailing comma": good[:-1] + b",}",
        "comment": good[:-1] + b"/* x */}",
        "leading zero": good.replace(b'"value": ', b'"value": 00', 1),
        "leading plus": good.replace(b'"value": ', b'"value": +', 1),
        "array": b"[" + good + b"]",
        "number": b"42",
        "string": b'"42"',
        "null": b"null",
        "zero bytes": b"\x00\x00",
        "Latin-1": good.replace("°".encode(), "°".encode("latin-1")).replace(b'"unit"', b'"\xe9": 1, "unit"'),
        "UTF-16": good.decode().encode("utf-16-le"),
        "line feed in a string": good.replace(b'"type": "', b'"type": "\n', 1),
    }
    padded = good + b" " * (limits.max_value_bytes + 1 - len(good))
    return [
        Invalid("null value", "empty", None, attributed=False),
        Invalid("no bytes", "empty", b"", attributed=False),
        Invalid("one byte too long", "too_large", padded, attributed=False),
        *(Invalid(name, "not_json", value, attributed=False) for name, value in not_json.items()),
    ]


def _change(message: Mapping[str, Any], reason: str, **changes: Any) -> Invalid:  # noqa: ANN401 - any JSON value
    name = ", ".join(f"{key} = {value!r}"[:60] for key, value in changes.items())
    return Invalid(name, reason, dump({**message, **changes}), attributed="sensor_id" not in changes)


def _shapes(message: Mapping[str, Any]) -> list[Invalid]:
    made = [Invalid("empty object", "missing_field", b"{}", attributed=False)]
    for name in message:
        rest = {key: value for key, value in message.items() if key != name}
        made.append(Invalid(f"no {name}", "missing_field", dump(rest), attributed=name != "sensor_id"))
        made.append(_change(message, "missing_field", **{name: None}))
    wrong: list[tuple[str, Any]] = [
        ("sensor_id", 7),
        ("sensor_id", True),
        ("sensor_id", ["a"]),
        ("type", 1),
        ("type", {"a": "b"}),
        ("value", str(message["value"])),
        ("value", "NaN"),
        ("value", ""),
        ("value", True),
        ("value", [1.5]),
        ("value", {"v": 1}),
        ("unit", 0),
        ("unit", False),
        ("timestamp", 1_790_000_000),
        ("timestamp", [2026, 1, 1]),
    ]
    return [*made, *(_change(message, "wrong_type", **{name: value}) for name, value in wrong)]


def _numbers(message: Mapping[str, Any]) -> list[Invalid]:
    literals = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "1.5e400")
    before, after = dump({**message, "value": 0.125}).split(b"0.125")
    return [
        Invalid(f"value = {text[:12]}", "not_finite", before + text.encode() + after, attributed=True)
        for text in literals
    ]


def _contents(message: Mapping[str, Any]) -> list[Invalid]:
    sensor = message["sensor_id"]
    ids: tuple[str, ...] = (
        "",
        " ",
        sensor.upper(),
        f"1{sensor}",
        f"-{sensor}",
        f"{sensor} ",
        f"{sensor}\n",
        f"a/{sensor}",
    )
    ids += ("true", "false", "null", "a" * 65, "sénsor", "a\u0000b")
    units = {"temperature": "K", "pressure": "Pa", "voltage": "mV"}
    return [
        *(_change(message, "bad_sensor_id", sensor_id=text) for text in ids),
        *(
            _change(message, "unknown_type", type=text)
            for text in ("", "humidity", "Temperature", "voltage ")
        ),
        *(
            _change(message, "wrong_unit", unit=text)
            for text in ("", "C", "hpa", "°C\n", units[message["type"]])
        ),
    ]


def _times(message: Mapping[str, Any], limits: Limits) -> list[Invalid]:
    good = message["timestamp"].removesuffix("Z")
    seconds = good[:19]
    bad = [good, f"{good}z", f"{good}+00:00", f"{good}+02:00", f"{good}Z\n", f" {good}Z", f"{seconds}.Z", ""]
    bad += [f"{seconds}.1234567Z", f"{seconds.replace('T', ' ')}Z", f"{seconds[:10]}Z", seconds[:10], "now"]
    bad += [f"{seconds[:16]}Z", f"{seconds},5Z", "1790000000", f"+0{good}Z", "٢٠٢٦-01-01T00:00:00Z"]
    day = f"{seconds[:4]}-"
    bad += [
        f"{day}13-01T00:00:00Z",
        f"{day}02-30T00:00:00Z",
        f"{day}00-01T00:00:00Z",
        f"{day}01-00T00:00:00Z",
    ]
    bad += ["2025-02-29T12:00:00Z", "0000-01-01T00:00:00Z", f"{day}04-31T00:00:00.5Z"]
    bad += [f"{seconds[:10]}T24:00:00Z", f"{seconds[:10]}T12:60:00Z", f"{seconds[:10]}T23:59:60Z"]
    instant = datetime.fromisoformat(message["timestamp"]).astimezone(UTC)
    # Days beyond the limits, so that the verdict doesn't hang on when the broker takes the message.
    future = [instant + limits.max_future + timedelta(days=days) for days in (2, 400)]
    past = [instant - limits.max_past - timedelta(days=days) for days in (2, 4000)]
    far = [(text, "too_far_in_future") for text in [*map(iso, future), "9999-12-31T23:59:59.999999Z"]]
    far += [
        (text, "too_far_in_past")
        for text in [*map(iso, past), "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]
    ]
    return [
        *(_change(message, "bad_timestamp", timestamp=text) for text in bad),
        *(_change(message, reason, timestamp=text) for text, reason in far),
    ]


def iso(instant: datetime, precision: str = "milliseconds") -> str:
    """Return `instant` (UTC) as the contract writes it, with "milliseconds" or "microseconds"."""
    return instant.isoformat(timespec=precision).removesuffix("+00:00") + "Z"
