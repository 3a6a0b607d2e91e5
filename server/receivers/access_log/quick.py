"""The quick way through a log: one match a line, and what repeats from line to line is looked up, not worked out.

It says what the form says, and nothing (None) of a line that is not as most are. The form is the definition.
"""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import Any, NamedTuple

from server.receivers.access_log.entry import REQUEST_ID, LoggedRequest, request_of, status_of
from server.receivers.access_log.form import SAY_SO, Sense, unanswered
from server.receivers.access_log.moment import LoggedMoment, moment
from server.receivers.access_log.taken import UNITS, bounded, taken_us
from server.receivers.route_template import route_of

KEPT = 20_000  # of each thing that repeats: a log of a stranger's paths must not grow our memory
DIGITS = "0123456789"
SECONDS, FRACTION = 10, 9  # digits before the point of a time since 1970, and at most behind it
FRACTIONS = frozenset(".,:")  # begin one
PLAIN = re.compile(r"\d{1,15}(?:\.\d{1,20})?")
VERSIONS = frozenset({"HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/3"})
NEEDED = frozenset({"time", "status"})
PARTS = ("time", "request", "method", "target", "taken", "id")
ELSEWHERE = frozenset({"zone", "peer", "query"})  # parts that the form puts together
SWITCHED = 101  # a WebSocket: its connection is timed


class NotQuick(LookupError):
    """This is for the form."""


class KnownMoments(dict[str, LoggedMoment]):
    """Times as printed; those without a zone are of `zone`. NotQuick: of what is none."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def __missing__(self, text: str) -> LoggedMoment:
        whole, point, behind = text.partition(".") if "." in text else text.partition(",")
        if point and text.isascii():
            rest = behind.lstrip(DIGITS)
            digits = len(behind) - len(rest)
            if 0 < digits <= FRACTION and whole[-3:-2] == ":" and rest[:1] not in FRACTIONS:
                second = self[whole + rest]
                return as_moment((second.at + micros(behind[:digits]), second.zoned))
            if point == "." and not rest and 0 < digits <= FRACTION and len(whole) == SECONDS and whole.isdigit():
                return as_moment((int(whole) * 1_000_000 + micros(behind), True))
        at = moment(text, self._zone)
        if at is None:
            raise NotQuick
        if len(self) >= KEPT:
            self.clear()
        self[text] = at
        return at


class RequestedRoute(NamedTuple):
    """What a request line asks for."""

    method: str
    route: str
    timed: bool  # the time taken is that of the answer, not of a connection


class KnownRequests(dict[str, RequestedRoute]):
    """Request lines, with their queries or without. NotQuick: of none that is plain."""

    def __missing__(self, line: str) -> RequestedRoute:
        head, asked, query = line.partition("?")
        if asked:
            version = query.rpartition(" ")[2]
            if " /" not in head or version not in VERSIONS:
                raise NotQuick
            return self[f"{head} {version}"]
        found = request_of(line)
        if found is None or found.version not in VERSIONS:
            raise NotQuick
        if len(self) >= KEPT:
            self.clear()
        self[line] = one = RequestedRoute(found.method, route_of(found.target), found.method.upper() != "CONNECT")
        return one


class KnownTargets(dict[tuple[str, str], RequestedRoute]):
    """What was asked for where lines have method and target apart. NotQuick: of none that is plain."""

    def of(self, method: str, target: str) -> RequestedRoute:
        """Of these; what stands behind the question mark of a path counts nowhere."""
        if target.startswith("/"):
            target, _, query = target.partition("?")
            if "\n" in query:
                raise NotQuick
        return self[method, target]

    def __missing__(self, key: tuple[str, str]) -> RequestedRoute:
        found = request_of(f"{key[0]} {key[1]} HTTP/1.1")
        if found is None or found.version not in VERSIONS:
            raise NotQuick
        if len(self) >= KEPT:
            self.clear()
        self[key] = one = RequestedRoute(found.method, route_of(found.target), found.method.upper() != "CONNECT")
        return one


class KnownAnswer(NamedTuple):
    """How a request ended."""

    status: int
    unanswered: str | None


class KnownAnswers(dict[Any, KnownAnswer]):
    """Statuses, with the parts of `Found` beside them that say who got no answer. NotQuick: of none that is plain."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __missing__(self, key: str | int | tuple[str | None, ...]) -> KnownAnswer:
        found = dict(zip(self._names, key if isinstance(key, tuple) else (str(key),), strict=True))
        status = status_of(found["status"] or "")
        if not status or status == SWITCHED:
            raise NotQuick
        if len(self) >= KEPT:
            self.clear()
        self[key] = one = KnownAnswer(status, unanswered(found, status))
        return one


class KnownTimes(dict[str, int | None]):
    """Times taken, in microseconds."""

    def __init__(self, unit: str | None) -> None:
        self._unit = unit
        self._scale = UNITS[unit] if unit else None

    def __missing__(self, text: str) -> int | None:
        if self._scale is not None and PLAIN.fullmatch(text):
            found = bounded(float(text) * self._scale)
        else:
            found = taken_us(text, self._unit)
        if len(self) >= KEPT:
            self.clear()
        self[text] = found
        return found


class QuickPattern:
    """Reads lines by a regular expression whose groups are parts of `Found`."""

    def __init__(self, pattern: re.Pattern[str], sense: Sense) -> None:
        groups = pattern.groupindex
        names = ("status", *(name for name in SAY_SO if name in groups))
        self._match = pattern.fullmatch
        self._answer = tuple(groups[name] for name in names)
        self._parts = tuple(groups.get(name, 0) for name in (*PARTS, "fraction"))
        self._whole = "request" in groups
        self._has_taken, self._has_id, self._has_fraction = (number > 0 for number in self._parts[4:])
        self._starts = sense.starts
        self._has_begun = "begun" in groups
        self._moments, self._requests, self._targets = KnownMoments(sense.zone), KnownRequests(), KnownTargets()
        self._answers, self._times = KnownAnswers(names), KnownTimes(sense.unit)

    def read(self, line: str) -> LoggedRequest | None:
        """The request of a line; None: it is for the form to say."""
        found = self._match(line)
        if found is None:
            return None
        time, request, method, target, taken, given, fraction = found.group(*self._parts)
        try:
            method, route, timed = self._requests[request] if self._whole else self._targets.of(method, target)
            status, left = self._answers[found.group(*self._answer)]
            at, zoned = self._moments[time]
        except NotQuick:
            return None
        took = self._times[taken] if self._has_taken and timed and taken else None
        if took is None and self._has_begun:
            return None
        if took is not None and self._starts:
            at += took
        if self._has_fraction and fraction:
            at += micros(fraction)
        if not self._has_id or not given or given == "-" or not REQUEST_ID.fullmatch(given):
            given = None
        return new((method, route, status, at, took, left, given, zoned))


def quick(pattern: re.Pattern[str], sense: Sense) -> QuickPattern | None:
    """The quick way for a pattern; None where its lines need the form's."""
    groups = pattern.groupindex.keys()
    asked = "request" in groups or groups >= {"method", "target"}
    return QuickPattern(pattern, sense) if asked and groups >= NEEDED and not groups & ELSEWHERE else None


def micros(digits: str) -> int:
    """The digits behind the point of seconds."""
    return int(digits.ljust(6, "0")[:6])


def as_moment(values: tuple[int, bool]) -> LoggedMoment:
    return tuple.__new__(LoggedMoment, values)


def new(values: tuple[str, str, int, int, int | None, str | None, str | None, bool]) -> LoggedRequest:
    return tuple.__new__(LoggedRequest, values)  # half the time of LoggedRequest(…)
