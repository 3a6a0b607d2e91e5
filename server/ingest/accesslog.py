"""Access logs of nginx and Apache in the combined (or common) format, one outcome a line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple

from server.ingest.outcome import DURATION_MAX_MS, EPOCH, MICROSECOND, Outcome

LINE = re.compile(r'\S+ \S+ .*?\[([^\[\]]{1,40})\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(.*)$', re.DOTALL)
REQUEST = re.compile(r"([A-Za-z]{1,32}) (\S.*?)(?: HTTP/[\d.]+)?")
TIME = re.compile(r"(\d{2})/(\w{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUOTED = re.compile(r'^(?: "(?:[^"\\]|\\.)*"){0,2}')

# Seconds under a name, or alone at the end: with a point they are nginx's $request_time in
# seconds, without one Apache's %D in microseconds.
NAMED_TIME = re.compile(r'\b(?:rt|request_time)="?(\d+(?:\.\d+)?)')
LAST_TIME = re.compile(r'\s"?(\d+(?:\.\d+)?)"?\s*$')
REQUEST_ID = re.compile(r'\b(?:rid|request_id)="?([A-Za-z0-9._-]{1,128})')

ID = re.compile(r"\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MALFORMED = "(malformed)"


class Logged(NamedTuple):
    """An outcome and its time, microseconds since 1970; `timed` False: the line has no request time."""

    outcome: Outcome
    at: int
    timed: bool


def parse(line: str, service: str) -> Logged | None:
    """The outcome that a line tells of; None where it is not of the format."""
    found = LINE.match(line.rstrip("\r\n"))
    if found is None:
        return None
    at = moment(found[1])
    status = int(found[3])
    if at is None or not 100 <= status <= 599:
        return None
    rest = found[4][QUOTED.match(found[4]).end() :]  # type: ignore[union-attr] # it matches the empty string
    method, route = request(found[2])
    duration_ms = request_time_ms(rest)
    request_id = REQUEST_ID.search(rest)
    outcome = Outcome(
        service=service,
        route=route,
        method=method,
        status=status,
        duration_ms=duration_ms or 0.0,
        request_id=request_id[1] if request_id else None,
    )
    return Logged(outcome, at, duration_ms is not None)


def request(line: str) -> tuple[str, str]:
    """Method and route of a request line; what is not HTTP has a route of its own."""
    found = REQUEST.fullmatch(line)
    if found is None:
        return MALFORMED, MALFORMED
    return found[1], route(found[2])


def route(target: str) -> str:
    """The path without the query, its ids as {id}: what requests are counted by."""
    if "://" in target:
        target = "/" + target.partition("://")[2].partition("/")[2]
    path = target.partition("?")[0].partition("#")[0].replace("\0", "") or "/"
    return "/".join("{id}" if ID.fullmatch(part) else part for part in path.split("/"))[:500]


def request_time_ms(rest: str) -> float | None:
    """The request time behind the quoted fields, in milliseconds; None where there is none."""
    named = NAMED_TIME.search(rest)
    found = named or LAST_TIME.search(rest)
    if found is None:
        return None
    micros = named is None and "." not in found[1]
    return min(float(found[1]) * (0.001 if micros else 1000), DURATION_MAX_MS)


@lru_cache(maxsize=1024)
def moment(text: str) -> int | None:
    """`23/Nov/2026:03:30:19 +0000` in microseconds since 1970; None where it is no time."""
    found = TIME.fullmatch(text)
    if found is None or found[2] not in MONTHS:
        return None
    day, _, year, hour, minute, second, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        zone = timezone(offset) if offset else UTC
        at = datetime(int(year), MONTHS.index(found[2]) + 1, int(day), int(hour), int(minute), int(second), tzinfo=zone)
    except ValueError:
        return None
    return (at - EPOCH) // MICROSECOND
