"""systemd's calendar expressions (systemd.time(7), OnCalendar), checked where there may be no systemd.

Narrower than systemd: no @ seconds, and a time zone is UTC or AREA/CITY.
"""

from __future__ import annotations

import re
from zoneinfo import available_timezones

EXAMPLES = "daily, Mon *-*-* 04:10:00 or *-*-* 00/6:25:00"
_WORDS = frozenset(
    ("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually"),
)
_ORDER = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_DAYS = re.compile(rf"(?:{_DAY})(?:(?:\.\.|-|,)(?:{_DAY}))*", re.IGNORECASE)
_LISTED = "[0-9*,./]+"
_DATE = re.compile(rf"(?:({_LISTED})-)?({_LISTED})[-~]({_LISTED})")
_TIME = re.compile(rf"({_LISTED}):({_LISTED})(?::({_LISTED}))?")
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z0-9_+-]+){1,2}")
_NUMBER = r"\d+(?:\.\d{1,6})?"
_ITEM = re.compile(rf"(\*|{_NUMBER})(?:\.\.({_NUMBER}))?(?:/({_NUMBER}))?")
# Lowest and highest of year, month and day, and of hour, minute and second.
_DATE_BOUNDS = ((1970, 2199), (1, 12), (1, 31))
_TIME_BOUNDS = ((0, 23), (0, 59), (0, 59))


def is_schedule(text: str) -> bool:
    """Tell whether systemd takes `text` as OnCalendar."""
    words = text.split(" ")
    zoned = len(words) > 1 and _zone(words[-1])
    rest = words[:-1] if zoned else words
    if len(rest) == 1 and rest[0].lower() in _WORDS:
        return True
    if rest and _days(rest[0]):
        rest = rest[1:]
        if not rest:
            return True
    if len(rest) == 1:
        return _date(rest[0]) or _time(rest[0])
    return len(rest) == len(("date", "time")) and _date(rest[0]) and _time(rest[1])


def _zone(text: str) -> bool:
    known = available_timezones()
    return _ZONE.fullmatch(text) is not None and (not known or text in known)


def _days(text: str) -> bool:
    if not _DAYS.fullmatch(text):
        return False
    for item in text.lower().split(","):
        places = [_ORDER.index(day[:3]) for day in re.split(r"\.\.|-", item)]
        if places != sorted(places):
            return False
    return True


def _date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    return match is not None and all(
        _listed(part, low, high)
        for part, (low, high) in zip(match.groups(), _DATE_BOUNDS, strict=True)
        if part is not None
    )


def _time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    return match is not None and all(
        _listed(part, low, high, parts=index == len(_TIME_BOUNDS) - 1)
        for index, (part, (low, high)) in enumerate(zip(match.groups(), _TIME_BOUNDS, strict=True))
        if part is not None
    )


def _listed(text: str, low: int, high: int, *, parts: bool = False) -> bool:
    """Tell whether each of the items is within bounds; only seconds have `parts` of one."""
    return all(_item(item, low, high, parts=parts) for item in text.split(","))


def _item(text: str, low: int, high: int, *, parts: bool) -> bool:
    match = _ITEM.fullmatch(text)
    if match is None:
        return False
    first, last, step = match.groups()
    given = [number for number in (first, last, step) if number not in {None, "*"}]
    if not parts and any("." in number for number in given):
        return False
    if step is not None and float(step) == 0:
        return False
    if first == "*":
        return last is None
    return low <= float(first) < high + 1 and (last is None or float(first) <= float(last) < high + 1)
