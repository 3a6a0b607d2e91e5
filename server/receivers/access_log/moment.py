"""Times as access logs print them: in which form, with which zone, and with none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

ZONE = r"(?:Z|[+-]\d{2}:?\d{2}|[A-Z][A-Za-z]{1,5}(?:/[A-Za-z_/+-]{1,32})?)"
CLOCK = r"(?P<clock>\d{1,2}:\d{2}:\d{2})(?:[.,:](?P<fraction>\d{1,9}))?"
MONTH = r"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
FORMS = (
    rf"(?P<day>\d{{1,2}})[/ -]{MONTH}[/ -](?P<year>\d{{4}})[: ]{CLOCK}(?: ?(?P<zone>{ZONE}))?",  # CLF, RFC 1123
    rf"(?P<year>\d{{4}})[-/](?P<month>\d{{2}})[-/](?P<day>\d{{2}})(?:T| | - ){CLOCK}(?: ?(?P<zone>{ZONE}))?",  # ISO
    rf"{MONTH} +(?P<day>\d{{1,2}}) {CLOCK} (?:(?P<zone>{ZONE}) )?(?P<year>\d{{4}})",  # asctime
)
SHORT = (
    rf"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d) {CLOCK}(?P<zone>(?!))?"  # Tornado's 261129, too short to search for
)
MOMENTS = tuple(re.compile(rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?{form}") for form in (*FORMS, SHORT))
UNNAMED = re.compile(r"\(\?P<\w+>")
STAMP = re.compile(r"(?<![\w/:.-])(?:" + "|".join(UNNAMED.sub("(?:", form) for form in FORMS) + r")(?![\w/:-])")
SECONDS = re.compile(r"(\d{9,19})(?:\.(\d{1,9}))?")

# Names of zones that mean one offset wherever they are used; CST, IST and BST, among others, do not.
OFFSETS = {
    "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2,
    "EEST": 3, "MSK": 3, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "JST": 9,
    "KST": 9, "NZST": 12, "NZDT": 13, "AEST": 10, "AEDT": 11, "ACST": 9.5, "AWST": 8,
}  # fmt: skip


class LoggedMoment(NamedTuple):
    """Microseconds since 1970; `zoned`: the text says of which zone."""

    at: int
    zoned: bool


@lru_cache(maxsize=4096)
def moment(text: str, zone: tzinfo = UTC) -> LoggedMoment | None:
    """A time as printed; one without a zone is one of `zone`. None where it is no time, or of an unknown zone."""
    numbers = SECONDS.fullmatch(text)
    if numbers:
        return since_1970(numbers[1], numbers[2] or "")
    for form in MOMENTS:
        found = form.fullmatch(text)
        if found:
            return dated(found, zone)
    return None


def since_1970(whole: str, fraction: str) -> LoggedMoment | None:
    """Seconds, or milli-, micro- or nanoseconds: which, their size says."""
    value = int(whole + fraction.ljust(9, "0")[:9])  # nanoseconds, if `whole` is seconds
    for scale in (1, 1_000, 1_000_000, 1_000_000_000):
        if value // scale < 10**20:  # before the year 5138
            return LoggedMoment(value // scale // 1000, True)
    return None


def dated(found: re.Match[str], zone: tzinfo) -> LoggedMoment | None:
    """The time of a date; None where there is no such day, or the zone is not known."""
    named = found["zone"]
    where = zone_of(named, zone) if named else zone
    month = int(found["month"]) if found["month"].isdigit() else MONTHS.index(found["month"]) + 1
    hour, minute, second = map(int, found["clock"].split(":"))
    if where is None:
        return None
    try:
        # A leap second is the last of its minute.
        year = int(found["year"]) + (2000 if len(found["year"]) == 2 else 0)
        at = datetime(year, month, int(found["day"]), hour, minute, min(second, 59), tzinfo=where).astimezone(UTC)
        return LoggedMoment(
            (at - EPOCH) // MICROSECOND + int((found["fraction"] or "0").ljust(6, "0")[:6]), named is not None
        )
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def zone_of(name: str, fallback: tzinfo) -> tzinfo | None:
    """The zone of an offset, an abbreviation or a name; an abbreviation of `fallback` is that. None: not known."""
    if name[0] in "+-":
        minutes = int(name[1:3]) * 60 + int(name[-2:])
        return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes)) if minutes < 24 * 60 else None
    if name in OFFSETS:
        return timezone(timedelta(hours=OFFSETS[name]))
    if "/" in name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            return None
    spoken = {datetime(2026, month, 1, tzinfo=fallback).tzname() for month in (1, 7)}
    return fallback if name in spoken else None
