"""What counts as lost, doubled and wrong: a perfect sink, and each way of being less than that."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import asdict, replace

import pytest
from chaos_stream import EXPECTED, ITEMS, NOW, SEEN, topic
from faults import Fault
from report import Outcome, figures, table
from sensors_oracle.aggregates import PERIODS, aggregate
from sensors_oracle.reference import DEFAULT_RULES
from sensors_oracle.stream import summary
from verdict import Expected, Found, Place, Row, Verdict, absent, compare, compare_lake, expect


def perfect(expected: Expected) -> Found:
    """Return what a perfect sink leaves."""
    flagged = [(reading, len(rules)) for reading, rules in expected.stored.values()]
    return Found(
        rows=[
            (reading.sensor_id, reading.type, reading.event_time, reading.value, place)
            for place, (reading, _) in expected.stored.items()
        ],
        rejects=list(expected.rejected.items()),
        counts={key: tuple(counts) for key, counts in expected.counts.items()},
        anomalies=expected.anomalies,
        aggregates={
            name: {key: asdict(made) for key, made in aggregate(flagged, period).items()}
            for name, period in PERIODS.items()
        },
        published={(place, rule) for place, (_, rules) in expected.stored.items() for rule in rules}
        | {(place, "") for place in expected.rejected},
    )


def numbers(found: Found) -> tuple[int, int, bool]:
    """Return lost, doubled, and whether anything is wrong besides."""
    verdict = compare(EXPECTED, found)
    assert len(verdict.details) > 0
    assert not verdict.clean
    return verdict.lost, verdict.doubled, verdict.wrong > 0


def key_of(place: Place) -> tuple[int, str]:
    """Return the key of the counts that a message adds to."""
    return place[0], EXPECTED.sensors[place]


def test_the_topic_is_judged_as_the_stream_was_made() -> None:
    told = summary(ITEMS)
    assert EXPECTED.anomalies == told["anomalies"] != []
    by_sensor = {sensor: counts for (_, sensor), counts in EXPECTED.counts.items()}
    assert by_sensor == {
        sensor: [counts["stored"], counts["duplicates"], counts["rejected"]]
        for sensor, counts in told["sensors"].items()
        if sensor
    }


def test_a_perfect_sink_is_clean() -> None:
    assert compare(EXPECTED, perfect(EXPECTED)) == Verdict(0, 0, 0, ())


def test_what_was_sent_again_is_a_duplicate_and_a_reject_once_more() -> None:
    again = [*ITEMS[:30], *ITEMS]
    expected = expect(topic(again), again, DEFAULT_RULES)
    assert len(expected.stored) == len(EXPECTED.stored)
    assert sum(counts[1] for counts in expected.counts.values()) > sum(
        counts[1] for counts in EXPECTED.counts.values()
    )
    assert compare(expected, perfect(expected)).clean


def test_what_is_not_in_the_topic_is_not_expected() -> None:
    expected = expect(SEEN[:500], ITEMS, DEFAULT_RULES)
    assert compare(expected, perfect(expected)).clean
    assert compare(expected, perfect(EXPECTED)).doubled > 0, "more is there than the topic has"


def test_a_missing_row_is_a_lost_message_also_where_it_was_counted() -> None:
    found = perfect(EXPECTED)
    assert numbers(replace(found, rows=found.rows[3:]))[:2] == (3, 0)


def test_a_missing_reject_is_a_lost_message() -> None:
    found = perfect(EXPECTED)
    assert numbers(replace(found, rejects=found.rejects[2:]))[:2] == (2, 0)


def test_a_message_that_neither_row_nor_count_knows_is_lost_once() -> None:
    found = deepcopy(perfect(EXPECTED))
    place = found.rows[0][4]
    stored, duplicates, rejected = EXPECTED.counts[key_of(place)]
    counts = {**found.counts, key_of(place): (stored - 1, duplicates, rejected)}
    assert numbers(replace(found, rows=found.rows[1:], counts=counts))[:2] == (1, 0)


def test_a_lost_duplicate_shows_in_the_counts_alone() -> None:
    found = perfect(EXPECTED)
    key, (stored, duplicates, rejected) = next((k, c) for k, c in EXPECTED.counts.items() if c[1])
    counts = {**found.counts, key: (stored, duplicates - 1, rejected)}
    assert numbers(replace(found, counts=counts)) == (1, 0, True)


def test_a_row_twice_is_doubled() -> None:
    found = perfect(EXPECTED)
    assert numbers(replace(found, rows=[*found.rows, *found.rows[:4]]))[:2] == (0, 4)


def test_a_duplicate_that_was_stored_is_doubled() -> None:
    found = perfect(EXPECTED)
    place = next(message.place for message in SEEN if ITEMS[message.index].expected.outcome == "duplicate")
    row = (*found.rows[0][:4], place)
    assert numbers(replace(found, rows=[*found.rows, row]))[:2] == (0, 1)


def test_a_reject_twice_is_doubled() -> None:
    found = perfect(EXPECTED)
    assert numbers(replace(found, rejects=[*found.rejects, found.rejects[0]]))[:2] == (0, 1)


def test_a_message_counted_twice_is_doubled_though_its_row_is_there_once() -> None:
    found = perfect(EXPECTED)
    key, (stored, duplicates, rejected) = next(iter(EXPECTED.counts.items()))
    counts = {**found.counts, key: (stored + 5, duplicates, rejected)}
    assert numbers(replace(found, counts=counts)) == (0, 5, True)


def test_a_sink_that_did_nothing_lost_everything() -> None:
    verdict = compare(EXPECTED, Found([], [], {}))
    assert verdict.lost == len(ITEMS)
    assert verdict.doubled == 0


def test_another_value_reason_anomaly_aggregate_or_a_missing_publication_is_wrong() -> None:
    found = perfect(EXPECTED)
    sensor, kind, when, value, place = found.rows[0]
    assert found.aggregates
    assert found.anomalies
    assert found.published
    hours = dict(found.aggregates["1h"])
    key = next(iter(hours))
    worse = [
        replace(found, rows=[(sensor, kind, when, value + 1, place), *found.rows[1:]]),
        replace(found, rejects=[(found.rejects[0][0], "other"), *found.rejects[1:]]),
        replace(found, anomalies=found.anomalies[1:]),
        replace(found, published=set(list(found.published)[1:])),
        replace(found, aggregates={"1h": {**hours, key: {**hours[key], "readings": 0}}}),
        replace(found, aggregates={"1h": {**hours, key: {**hours[key], "mean": 0.5}}}),
        replace(found, aggregates={"1h": {k: row for k, row in hours.items() if k != key}}),
        replace(found, aggregates={"1h": {**hours, ("x", "voltage", NOW): hours[key]}}),
    ]
    for other in worse:
        assert numbers(other) == (0, 0, True)


def test_an_acknowledged_message_must_be_where_the_broker_said() -> None:
    acknowledged = {message.index: message.place for message in SEEN}
    assert absent(acknowledged, SEEN) == []
    assert len(absent(acknowledged, SEEN[1:])) == 1
    assert len(absent(acknowledged, [replace(SEEN[0], intact=False), *SEEN[1:]])) == 1
    assert len(absent({**acknowledged, 0: SEEN[1].place}, SEEN)) == 1
    assert absent({0: (0, -1)}, SEEN) == [], "a broker may have forgotten where"
    assert len(absent({0: (0, -1)}, SEEN[1:])) == 1


def outcome(lost: int = 0, doubled: int = 0, **naive: tuple[int, int]) -> Outcome:
    """Return a round with these numbers."""
    sinks = {order.replace("_", " "): Verdict(*pair, 0, ()) for order, pair in naive.items()}
    fault = Fault("node killed", "db-1", ("db-1",))
    return Outcome(fault, 100, 99, 12.34, Verdict(lost, doubled, 0, ()), sinks)


def test_the_figures_say_what_holds() -> None:
    good = outcome(commit_first=(7, 0), insert_first=(0, 9))
    held = {figure["name"]: (figure["value"], figure["holds"]) for figure in figures([good, good], 1)}
    assert held == {
        "chaos: messages lost": (0, True),
        "chaos: messages doubled": (0, True),
        "chaos: anything else wrong": (0, True),
        "chaos: recovery, median": (12.3, True),
        "chaos: recovery, longest": (12.3, True),
        "chaos: naive sink, commit first: lost": (14, True),
        "chaos: naive sink, insert first: doubled": (18, True),
    }
    bad = outcome(1, 2, commit_first=(0, 5), insert_first=(5, 0))
    failed = {figure["name"] for figure in figures([good, bad], 1) if not figure["holds"]}
    assert failed == {
        "chaos: messages lost",
        "chaos: messages doubled",
        "chaos: naive sink, commit first: lost",
        "chaos: naive sink, insert first: doubled",
    }


@pytest.mark.parametrize("naive", [{}, {"commit_first": (7, 0)}])
def test_the_table_has_a_line_for_each_round_and_naive_sink(naive: dict[str, tuple[int, int]]) -> None:
    lines = table([outcome(3, 4, **naive)]).splitlines()
    assert lines[1].split() == ["1", "node", "killed", "db-1", "100", "99", "3", "4", "0", "12.3", "s"]
    assert len(lines) == 2 + len(naive)


def test_the_lake_keeps_each_valid_message_also_repeated_and_conflicting_ones() -> None:
    outcomes = Counter(ITEMS[seen.index].note for seen in SEEN if seen.place in EXPECTED.valid)
    assert {"plain", "late", "duplicate", "conflicting"} == set(outcomes)
    rows = kept()
    assert compare_lake(EXPECTED.valid, rows) == Verdict(0, 0, 0, ())
    assert compare_lake(EXPECTED.valid, rows[1:]).lost == 1
    assert compare_lake(EXPECTED.valid, [*rows, rows[3], rows[3]]).doubled == 2
    other = (*rows[0][:3], rows[0][3] + 0.01, rows[0][4])
    assert compare_lake(EXPECTED.valid, [other, *rows[1:]]).wrong == 1
    assert not compare_lake(EXPECTED.valid, [other, *rows[1:]]).clean


def test_what_the_lake_has_of_an_invalid_message_is_one_too_many() -> None:
    place = next(iter(set(EXPECTED.rejected) - set(EXPECTED.valid)))
    verdict = compare_lake(EXPECTED.valid, [*kept(), (*kept()[0][:4], place)])
    assert (verdict.lost, verdict.doubled, verdict.wrong) == (0, 1, 0)


def kept() -> list[Row]:
    """Return what a perfect lake has."""
    return [
        (reading.sensor_id, reading.type, reading.event_time, reading.value, place)
        for place, reading in EXPECTED.valid.items()
    ]


def test_the_lake_is_told_below_its_round_and_among_the_figures() -> None:
    rounds = [replace(outcome(), lake=Verdict(*numbers, ())) for numbers in ((0, 0, 0), (1, 2, 3))]
    assert table(rounds).splitlines()[4].split() == ["the", "lake", "1", "2", "3"]
    (figure,) = (figure for figure in figures(rounds, 1) if "lake" in figure["name"])
    assert (figure["value"], figure["holds"], figure["runs"]) == (6, False, [0, 6])
