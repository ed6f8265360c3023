"""docs/benchmarks.md, made from the figures of reports/bench.json; what people wrote between marks stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from figures import Figure

BEGIN = "<!-- notes: written by hand, kept by make bench -->"
END = "<!-- end of notes -->"
NOTES = "\nNothing has been written here yet.\n"
HEAD = """# Benchmarks

Made by `make bench` from `reports/bench.json`, which has every single run: all but the notes at the end is
written anew each time. `PARTS=a,c` measures some parts and keeps the figures that the report has of others.
They are of one machine, which the lab shares with whatever else runs on it: ratios of two things measured in
turns say more than rates.
"""
TITLES = {
    "a": "Throughput, beside other ways to write the same rows",
    "b": "Latency, from event time to visible row",
    "c": "Bytes a reading",
    "d": "The lab at rest",
    "e": "Durations",
    "f": "Throughput as the load changes",
    "g": "What the generator's buffer waits for the disk",
}
NOTHING = "Not measured yet.\n"


def render(figures: Sequence[Figure], notes: str = NOTES) -> str:
    """Return the page's text."""
    sections = [HEAD]
    goals = [figure for figure in figures if figure.goal]
    sections.append("## Goals\n\n" + (_goals(goals) if goals else NOTHING))
    for part, title in TITLES.items():
        own = [figure for figure in figures if figure.part == part]
        sections.append(f"## ({part}) {title}\n\n" + (_part(own) if own else NOTHING))
    sections.append(
        f"## Notes: where a goal is missed, and why\n\n{BEGIN}\n{notes}\n{END}\n".replace("\n\n\n", "\n\n")
    )
    return "\n".join(sections)


def notes(page: str) -> str:
    """Return what stands between the marks; ValueError where they are missing, as it would be lost."""
    _, found, rest = page.partition(BEGIN)
    kept, end, _ = rest.partition(END)
    if not found or not end:
        message = f"docs/benchmarks.md lacks the marks around its notes: {BEGIN} … {END}"
        raise ValueError(message)
    return f"\n{kept.strip()}\n"


def summary(figures: Iterable[Figure]) -> str:
    """Return the figures as a table for the terminal."""
    lines = [[figure.name, value(figure), spread(figure), figure.goal, verdict(figure)] for figure in figures]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def value(figure: Figure) -> str:
    """Return value and unit as people read them."""
    if figure.value is None:
        return "-"
    return f"{number(figure.value)} {figure.unit}".strip()


def number(found: float | str) -> str:
    """Return a number with separators where it is large, and no more digits than it has."""
    if isinstance(found, str):
        return found
    return f"{found:,.0f}" if abs(found) >= 1000 else f"{found:.4g}"


def spread(figure: Figure) -> str:
    """Return the smallest and the largest run, where there are several."""
    if len(figure.runs) < 2:
        return ""
    return f"{number(min(figure.runs))} to {number(max(figure.runs))} ({len(figure.runs)})"


def verdict(figure: Figure) -> str:
    """Return whether the goal holds."""
    if not figure.goal:
        return ""
    return {True: "yes", False: "NO", None: "not measured"}[figure.holds]


def _goals(figures: Sequence[Figure]) -> str:
    rows = [[figure.name, value(figure), figure.goal, verdict(figure)] for figure in figures]
    return _table(["figure", "value", "goal", "holds"], rows)


def _part(figures: Sequence[Figure]) -> str:
    """Return the part's table, and how each figure was measured: each way once, with a number."""
    ways = list(dict.fromkeys(figure.how for figure in figures))
    rows = [
        [_plain(figure), value(figure), spread(figure), f"{ways.index(figure.how) + 1}"] for figure in figures
    ]
    text = _table(["what", "value", "smallest to largest run (runs)", "how"], rows)
    return text + "\n" + "\n".join(f"{place}. {how}" for place, how in enumerate(ways, 1)) + "\n"


def _plain(figure: Figure) -> str:
    return figure.name.partition(": ")[2]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([text.replace("|", r"\|") for text in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
