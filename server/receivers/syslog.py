"""One syslog message: RFC 5424, RFC 3164, and lines without a header. See docs/connect/syslog.md.

A host and a program are taken only from a header with a time: the first words of a plain line are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from server.receivers.access_log.moment import EPOCH, MICROSECOND, MONTHS, moment
from server.receivers.syslog_frames import SyslogFrame

# Bytes at which senders and relays end a message: HAProxy, old relays, rsyslog by default and as its manual says.
CUT_AT = frozenset({1024, 2048, 8096, 8192})
TEXT_CUT_AT = frozenset({1024, 2047, 2048})  # and the text behind its header: nginx, with a space before it
BOM = b"\xef\xbb\xbf"
NIL = "-"
# OpenTelemetry's numbers for syslog's severities, emergency first.
SEVERITIES = (21, 19, 18, 17, 13, 10, 9, 5)
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

PRI = rb"<(?P<pri>\d{1,3})>"
# A part that is not known is `-`; templates of syslog-ng leave it empty.
HEADER = re.compile(
    PRI
    + rb"1 (?P<time>\S{1,40}) (?P<host>\S{0,255}) (?P<app>\S{0,255}) (?P<process>\S{0,255}) (?P<kind>\S{0,255})(?: |$)"
)
DATA = re.compile(rb'-(?= |$)|(?:\[[^ =\]"]{1,255}(?: [^ =\]"]{1,255}="(?:[^"\\]|\\.)*")*\])+(?= |$)', re.DOTALL)
OLD_TIME = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d \d\d:\d\d:\d\d"
ISO_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
FINE = re.compile(r"T\d\d:\d\d:\d\d[.,](?!0+(?!\d))\d{4,}")  # a relay that has only seconds may pad them with zeros
TAG = rb"(?P<app>[^\s:\[\]<>\"=]{1,128})(?:\[(?P<process>[^\s\]]{1,128})\])?:(?: |$)"
OLD = re.compile(rb"(?:" + PRI + rb")?(?P<time>" + OLD_TIME + rb"|" + ISO_TIME + rb") ")
TAGGED = re.compile(TAG)
HOSTED = re.compile(rb"(?P<host>[^\s:\[\]<>\"={}]{1,255}) (?:" + TAG + rb")?")
ONLY_PRI = re.compile(PRI)
NAMES_A_LEVEL = re.compile(rb"(?:emerg|alert|crit|err|warn|notice|info|debug|trace|fatal|panic|severe)", re.IGNORECASE)


class SyslogLine(NamedTuple):
    """What one message says. `at` is microseconds since 1970, None: it has no time, or one that cannot be."""

    at: int | None
    severity: int  # OpenTelemetry's number; 0: not known
    level: str
    host: str
    app: str
    process: str
    text: str
    cut: bool
    fine: bool = False  # its time was taken to the microsecond, or finer


class HeaderParts(NamedTuple):
    """The parts of a header as bytes, and where the text behind it begins."""

    found: dict[str, bytes]
    text: int


def read(frame: SyslogFrame, now: int, zone: tzinfo = UTC) -> SyslogLine:
    """What a frame says. `now` in microseconds since 1970; `zone` is that of times that name none."""
    data = frame.data.rstrip(b"\r\n\0")
    found, start = header(data)
    text = data[start:].removeprefix(b" ").removeprefix(BOM)
    severity = int(found["pri"]) & 7 if "pri" in found else None
    time = found.get("time", b"").decode("ascii", "replace")
    return SyslogLine(
        at=stamp(time, now, zone),
        severity=0 if severity is None else SEVERITIES[severity],
        level="" if severity is None else LEVELS[severity],
        host=word(found.get("host")),
        app=word(found.get("app")),
        process=word(found.get("process")),
        text=text.decode("utf-8", "replace"),
        cut=frame.cut or len(data) in CUT_AT or len(text) in TEXT_CUT_AT,
        fine=FINE.search(time) is not None,
    )


def header(data: bytes) -> HeaderParts:
    """The header of a message, as far as it has one."""
    new = HEADER.match(data)
    if new:
        structured = DATA.match(data, new.end())
        return HeaderParts(new.groupdict(), structured.end() if structured else new.end())
    old = OLD.match(data)
    if old:
        named = TAGGED.match(data, old.end()) or HOSTED.match(data, old.end())
        parts = {name: value for name, value in old.groupdict().items() if value}
        if named is None or (old["pri"] is None and is_plain(named)):
            return HeaderParts(parts, old.end())
        return HeaderParts(parts | {name: value for name, value in named.groupdict().items() if value}, named.end())
    only = ONLY_PRI.match(data)
    return HeaderParts({"pri": only["pri"]}, only.end()) if only else HeaderParts({}, 0)


def is_plain(named: re.Match[bytes]) -> bool:
    """Whether what stands behind the time of a line without a priority is an application's own words, not a header."""
    words = named.groupdict()
    return words.get("app") is None or NAMES_A_LEVEL.match(words.get("host") or b"") is not None


def word(value: bytes | None) -> str:
    text = (value or b"").decode("utf-8", "replace")
    return "" if text == NIL else text


def stamp(text: str, now: int, zone: tzinfo) -> int | None:
    """The time of a header. One without a zone that is ahead of us is of another zone than was said: none."""
    if text[:3] not in MONTHS:
        found = moment(text, zone) if "T" in text else None
        return None if found is None else found.at
    year = (EPOCH + now * MICROSECOND).year
    taken = [at for one in (year - 1, year, year + 1) if (at := dated(text, one, zone)) is not None]
    nearest = min((at for at in taken if at < now + DAY_US), key=lambda at: abs(at - now), default=None)
    return None if nearest is None or nearest > now + AHEAD_US else nearest


AHEAD_US, DAY_US = 300_000_000, 86_400_000_000


def dated(text: str, year: int, zone: tzinfo) -> int | None:
    """`Nov 29 18:07:01` in a year; None where there is no such day."""
    try:
        hour, minute, second = int(text[7:9]), int(text[10:12]), min(int(text[13:15]), 59)
        month = MONTHS.index(text[:3]) + 1
        return (datetime(year, month, int(text[4:6]), hour, minute, second, tzinfo=zone) - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        return None


def in_order(lines: Sequence[SyslogLine]) -> list[int | None]:
    """The times of lines, so that of one sender none is after the next one's by less than a second: it is wrong then.

    One in ten of winston-syslog's is, by up to 0.9 s: it writes milliseconds as two digits.
    """
    times: list[int | None] = []
    following: dict[tuple[str, str], int] = {}
    for line in reversed(lines):
        sender, at = (line.host, line.app), line.at
        after = following.get(sender)
        if at is not None:
            if after is not None and 0 < at - after < SECOND_US:
                at = after
            following[sender] = at
        times.append(at)
    return times[::-1]


SECOND_US = 1_000_000


def displayed(text: str) -> str:
    """A text as people read it: `#012` of rsyslog and a literal `\\n` are ends of lines, `#011` is a tab.

    For display only: what is kept is what came.
    """
    return text.replace("#012", "\n").replace("#011", "\t").replace("\\n", "\n")
