"""The fast path through the message contract: what it accepts, the plain oracle accepts and reads alike."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import kafka_rows
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensors_oracle import invalid, reference, stream

from sensors_job.config import DEFAULT_TYPES, BusinessHours, Limits
from sensors_job.judge import fast_path, rules

VERSION = 7
START = datetime(2026, 11, 21, 10, tzinfo=UTC)
APPENDED = START + timedelta(milliseconds=1)
PLAIN = {
    "sensor_id": "a-1",
    "type": "voltage",
    "value": 230.5,
    "unit": "V",
    "timestamp": "2026-11-21T10:00:00Z",
}


def contract(given_rules: tuple[rules.Rule, ...] = kafka_rows.RULES, **hours: Any) -> fast_path.Contract:  # noqa: ANN401 - any field
    agreed = rules.RuleSet(VERSION, given_rules, rules.Unusual(VERSION, 1, ()))
    return fast_path.contract(Limits(), DEFAULT_TYPES, BusinessHours(**hours), agreed)


def judged(*values: bytes | None, agreed: fast_path.Contract | None = None) -> list[dict[str, Any]]:
    """Return the rows that come of messages."""
    batch = kafka_rows.messages(*values, appended=APPENDED)
    rows: list[dict[str, Any]] = fast_path.judge(batch, agreed or contract()).to_pylist()
    return rows


def fields(line: str) -> list[str]:
    assert line.endswith("\n")
    return line[:-1].split("\t")


def reading(row: dict[str, Any]) -> reference.Reading:
    """Return the reading that a row's COPY line stores; the row's other columns agree with it."""
    stamp, sensor, kind, value, partition, offset, *_ = fields(row["measurement_line"])
    found = reference.Reading(sensor, kind, float(value), datetime.fromisoformat(stamp))
    assert (row["sensor_id"], row["type"], row["reading"]) == (sensor, kind, found.value)
    assert (int(partition), int(offset)) == (row["partition"], row["offset"])
    assert row["facts"].startswith(f"{stamp}\t{sensor}\t{kind}\t{value}\t")
    assert row["minute"] == found.event_time.timestamp() // 60 * 60
    assert row["hour"] == found.event_time.hour
    assert (row["reason"], row["reject_line"]) == (None, None)
    return found


def test_a_stream_of_valid_messages_becomes_the_rows_of_the_oracle() -> None:
    shares = stream.Shares(invalid=0, duplicate=0, conflicting=0, anomalous=0.3)
    sensors = {"a-1": "voltage", "b.2": "temperature", "c_3": "pressure", "weather-jfk": "temperature"}
    items = list(stream.scenario(1, 800, sensors, START, shares=shares))
    batch = kafka_rows.messages(
        *(item.value for item in items), appended=START + stream.span(800, len(sensors))
    )
    rows = fast_path.judge(batch, contract()).to_pylist()
    assert [reading(row) for row in rows] == [item.expected.reading for item in items]
    assert [row["offset"] for row in rows] == list(range(kafka_rows.FIRST, kafka_rows.FIRST + 800))
    flagged = 0
    for row, item in zip(rows, items, strict=True):
        lines = (row["anomaly_line"] or "").splitlines(keepends=True)
        found = {fields(line)[5]: fields(line) for line in lines}
        assert tuple(sorted(found)) == tuple(sorted(item.rules))
        for rule in kafka_rows.RULES:
            if rule.rule_id in found:
                rest = [rule.rule_id, rule.severity, repr(rule.threshold), str(VERSION), str(row["offset"])]
                assert found[rule.rule_id] == [*fields(row["facts"] + "\n"), *rest]
        flagged += len(found)
    assert flagged > 100


def test_several_rules_may_flag_one_reading() -> None:
    twice = tuple(
        dataclasses.replace(rule, rule_id=f"{rule.rule_id}'{n}") for rule in kafka_rows.RULES for n in (1, 2)
    )
    high, low = (json.dumps(PLAIN | {"value": value}).encode() for value in (250, 200))
    found = [
        row["anomaly_line"] for row in judged(high, json.dumps(PLAIN).encode(), low, agreed=contract(twice))
    ]
    names = [line and [fields(one)[5] for one in line.splitlines(keepends=True)] for line in found]
    assert names == [["voltage-high'1", "voltage-high'2"], None, ["voltage-low'1", "voltage-low'2"]]
    assert [row["anomaly_line"] for row in judged(high, agreed=contract(()))] == [None]


def test_every_kind_of_invalid_message_is_left_to_the_full_path() -> None:
    kinds = invalid.variants(PLAIN, reference.Limits())
    assert len(kinds) > 40
    good = json.dumps(PLAIN).encode()
    for kind in kinds:
        for batch in ([kind.value], [good, kind.value, good]):
            with pytest.raises(fast_path.UndecidedError):
                judged(*batch)


@pytest.mark.parametrize(
    ("seconds", "accepted"),
    [(60, True), (60.001, False), (-30 * 86_400, True), (-30 * 86_400 - 0.001, False)],
)
def test_the_limits_of_time_are_inclusive(seconds: float, accepted: bool) -> None:  # noqa: FBT001 - a parameter
    stamp = f"{APPENDED + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}Z"
    value = json.dumps(PLAIN | {"timestamp": stamp}).encode()
    if accepted:
        assert reading(judged(value)[0]).event_time == APPENDED + timedelta(seconds=seconds)
    else:
        with pytest.raises(fast_path.UndecidedError):
            judged(value)


def test_only_short_messages_are_taken() -> None:
    def of(size: int) -> bytes:
        value = json.dumps(PLAIN | {"note": ""}).encode()
        return value.replace(b'"note": ""', b'"note": "' + b"x" * (size - len(value)) + b'"')

    assert len(of(fast_path.MOST_BYTES)) == fast_path.MOST_BYTES
    assert len(judged(of(fast_path.MOST_BYTES))) == 1
    with pytest.raises(fast_path.UndecidedError):
        judged(of(fast_path.MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-03-29T00:59:59.999999Z", "7\t1\tf"),
        ("2026-03-29T01:00:00Z", "7\t3\tf"),
        ("2026-03-30T06:00:00Z", "1\t8\tt"),
        ("2026-03-30T15:59:59Z", "1\t17\tt"),
        ("2026-03-30T16:00:00Z", "1\t18\tf"),
        ("2026-03-30T22:30:00Z", "2\t0\tf"),
    ],
)
def test_weekday_hour_and_business_hours_are_local(stamp: str, expected: str) -> None:
    value = json.dumps(PLAIN | {"timestamp": stamp}).encode()
    batch = kafka_rows.messages(value, appended=datetime(2026, 4, 1, tzinfo=UTC))
    (row,) = fast_path.judge(batch, contract(zone="Europe/Berlin")).to_pylist()
    assert row["measurement_line"].endswith(f"\t{expected}\t{VERSION}\n")
    assert datetime.fromisoformat(stamp).astimezone(ZoneInfo("Europe/Berlin")).hour == int(
        expected.split("\t")[1]
    )


# Raw JSON, most of it odd, some of it none at all.
TOKENS = st.sampled_from(
    [
        *(
            "230.5",
            "-0",
            "-0.0",
            "1e2",
            "1E+2",
            "01",
            "1.",
            ".5",
            "+1",
            "1e400",
            "1e-400",
            "NaN",
            "-Infinity",
            "0x1",
        ),
        *(
            '"a-1"',
            '"V"',
            '"°C"',
            '"voltage"',
            '"temperature"',
            '"2026-11-21T10:00:00Z"',
            '"true"',
            '"A"',
            '""',
        ),
        *('"2026-11-21T10:00:00.123456Z"', '"2026-11-21T10:00:00.1234567Z"', '"2026-11-21T24:00:00Z"'),
        *(
            '"2026-11-31T10:00:00Z"',
            '"2026-11-21T10:00:60Z"',
            '"0000-01-01T00:00:00Z"',
            '"2026-11-21 10:00:00Z"',
        ),
        *(
            "true",
            "null",
            "nul",
            "{}",
            "[]",
            "[1]",
            '{"value": 1}',
            '"\\u0061-1"',
            '"a\\n"',
            '"}"',
            '"{,:"',
            "'a'",
        ),
        *(
            '"\t"',
            '"\x7f"',
            '"\u2028"',
            '"a-1\x00"',
            "1" * 400,
            "9" * 1001,
            '"' + "a" * 64 + '"',
            '"' + "a" * 65 + '"',
        ),
    ]
)
NAMES = st.sampled_from(
    ['"sensor_id"', '"type"', '"value"', '"unit"', '"timestamp"', '"x"', '"Value"', '"val\\u0075e"', "value"]
)
SPACE = st.sampled_from(["", "", "", " ", "  ", "\t", "\n", "\r\n"])


@st.composite
def near_misses(draw: st.DrawFn) -> bytes:
    """Return a plain message with some fields changed, doubled, moved or left out, and odd spaces."""
    pairs = [(json.dumps(name), json.dumps(value, ensure_ascii=False)) for name, value in PLAIN.items()]
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(pairs)))
        change = draw(st.sampled_from(["add", "replace", "drop"]))
        if change == "add" or place == len(pairs):
            pairs.insert(place, (draw(NAMES), draw(TOKENS)))
        elif change == "replace":
            pairs[place] = (pairs[place][0], draw(TOKENS))
        else:
            del pairs[place]
    body = ",".join(
        f"{draw(SPACE)}{name}{draw(SPACE)}:{value}{draw(SPACE)}"
        for name, value in draw(st.permutations(pairs))
    )
    before, after = draw(
        st.sampled_from([("{", "}")] * 6 + [("{", ""), ("{", "} x"), ("{", "},"), ("[{", "}]"), ("{", ",}")])
    )
    text = (draw(SPACE) + before + body + after + draw(SPACE)).encode()
    return draw(st.sampled_from([text] * 6 + [text.replace(b"a", b"\xff", 1), text[:-1], text + text]))


def plain_but(old: str, new: str) -> bytes:
    text = json.dumps(PLAIN)
    assert old in text
    return text.replace(old, new).encode()


@pytest.mark.parametrize(
    "value",
    [
        plain_but("{", '{"x": NaN, '),
        plain_but("{", '{"x": [-Infinity], '),
        plain_but("{", '{"x": {"y": NaN}, '),
        plain_but("{", "{\n"),
        plain_but("}", "}\n"),
        plain_but("}", "}\n{}"),
        plain_but('"a-1"', '"\\u0061-1"'),
        plain_but("{", '{"value": 1, '),
        # Spark's parser, and with it the lake, makes 0.0 of this one, and Arrow -0.0.
        plain_but("230.5", "-0"),
    ],
)
def test_what_arrow_would_read_although_it_is_not_plain_is_left_alone(value: bytes) -> None:
    with pytest.raises(fast_path.UndecidedError):
        judged(value)


@pytest.mark.parametrize("value", ["-0.0", "-0e0", "-0E+1", "-1e-400"])
def test_a_zero_keeps_its_sign_where_the_lake_keeps_it(value: str) -> None:
    (row,) = judged(plain_but("230.5", value))
    assert math.copysign(1, reading(row).value) == -1


@given(st.lists(near_misses(), min_size=1, max_size=3))
def test_what_is_accepted_is_what_the_oracle_reads(values: list[bytes]) -> None:
    try:
        rows = judged(*values)
    except fast_path.UndecidedError:
        return
    assert [reading(row) for row in rows] == [reference.judge(value, APPENDED) for value in values]


EXTRAS = st.dictionaries(
    st.sampled_from(["x", "Value", "comment", "größe"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just("{],:}"),
    max_size=3,
)


@given(
    st.permutations(list(PLAIN)),
    EXTRAS,
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20),
    st.sampled_from([(",", ":"), (", ", ": "), ("  , ", " :  ")]),
)
def test_whatever_is_plain_and_valid_is_accepted(
    names: list[str], extras: dict[str, object], value: float, separators: tuple[str, str]
) -> None:
    message = {name: PLAIN[name] for name in names} | {"value": value} | extras
    text = json.dumps(message, ensure_ascii=False, separators=separators).encode()
    assert [reading(row) for row in judged(text)] == [reference.judge(text, APPENDED)]
