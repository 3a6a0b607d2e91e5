"""A form: which part of a line is what, in which unit, and whether its time is the start or the end of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo

from server.receivers.access_log.entry import (
    NO_ANSWER,
    REQUEST_ID,
    UNANSWERED,
    LeftKind,
    LeftLine,
    LoggedRequest,
    Read,
    RequestLine,
    request_of,
    status_of,
)
from server.receivers.access_log.moment import moment
from server.receivers.access_log.taken import taken_us
from server.receivers.route_template import route_of

SHOWN = 60
HALF = frozenset({400, 408})  # how a server answers a request line that never ended


@dataclass(slots=True)
class Sense:
    """How what was found in a line is to be taken."""

    unit: str | None = None  # of the time taken, where it says none
    starts: bool = False  # the time of a line is when the request came, not when it ended
    versioned: bool = False  # its request lines end in a version: one without is half a request
    zone: tzinfo = UTC  # of times that say none


# time, fraction (of its second), zone; request, or method and target; status; taken, or begun: when it came; id; and
# what servers say of a request that nobody got the whole answer to: flags (HAProxy), aborted (Apache's %X), completed
# (nginx), envoy, squid, message (fastify, pino-http).
Found = Mapping[str, str | None]


def entry_of(found: Found, sense: Sense) -> Read:
    """The request that was found in a line."""
    request = requested(found)
    if request is None:
        return LeftLine(LeftKind.NO_REQUEST, f"{shown(found.get('request'))} is no request line")
    status = status_of(found.get("status") or "")
    if status is None:
        return LeftLine(LeftKind.REFUSED, f"{shown(found.get('status'))} is no status of HTTP")
    if status in HALF and sense.versioned and found.get("request") is not None and not request.version:
        return LeftLine(LeftKind.NO_REQUEST, f"{shown(found.get('request'))} is half a request line")
    text = " ".join(part for part in (found.get("time"), found.get("zone")) if part)
    at = moment(text, sense.zone)
    if at is None:
        return LeftLine(
            LeftKind.REFUSED, f"{shown(text)} is no time, or of no known zone" if text else "it has no time"
        )
    duration = None
    if status != 101 and request.method.upper() != "CONNECT":  # of those the connection is timed, not the answer
        duration = taken_us(found.get("taken") or "", sense.unit)
        if duration is None and (begun := moment(found.get("begun") or "", sense.zone)):
            duration = max(0, at.at - begun.at)
    given = found.get("id") or ""
    return LoggedRequest(
        method=request.method,
        route=route_of(request.target),
        status=status or NO_ANSWER,
        at=at.at + int((found.get("fraction") or "").ljust(6, "0")[:6]) + (duration or 0 if sense.starts else 0),
        duration_us=duration,
        unanswered=unanswered(found, status),
        request_id=given if given != "-" and REQUEST_ID.fullmatch(given) else None,
        zoned=at.zoned,
    )


def requested(found: Found) -> RequestLine | None:
    """The request line, whole or in parts."""
    if found.get("request") is not None:
        return request_of(found["request"] or "")
    return request_of(f"{found.get('method') or '-'} {found.get('target') or '-'} HTTP/1.1")


def unanswered(found: Found, status: int) -> str | None:
    """What the log says where nobody got the whole answer; None where somebody did, or the log does not know."""
    for part, says in SAY_SO.items():
        value = found.get(part)
        if value and says(value):
            return f"{part} {value}"
    if found.get("completed") == "" and status != 101:
        return "not completed"
    if status == 0:
        return f"status {found.get('status') or 'empty'}"
    return f"status {status}" if status in UNANSWERED else None


def cut(flags: str) -> bool:
    """HAProxy's: the client ended it, or the answer ended while it was being sent."""
    return flags[0] in "Cc" or (flags[0] != "-" and flags[1:2] in ("D", "L"))


SAY_SO: dict[str, Callable[[str], bool]] = {
    "flags": cut,
    "aborted": "X".__eq__,
    "completed": lambda value: value not in ("OK", "-"),
    "envoy": lambda value: "DC" in value.split(","),
    "message": bool,
    "squid": lambda value: value.endswith("_ABORTED"),
}


def shown(text: str | None) -> str:
    """A piece of a line, short."""
    text = text or ""
    return f'"{text[:SHOWN]}{"…" if len(text) > SHOWN else ""}"'
