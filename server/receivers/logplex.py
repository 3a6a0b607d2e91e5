"""Heroku's Logplex: `application/logplex-1`. See docs/connect/heroku.md.

Its frames look like RFC 5424 and are not: they have no structured data and no nil in its place. Lines of the router
are requests, of the API changes; what an application logs of a request is a log line, or it would count twice.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from server.receivers.access_log.entry import REQUEST_ID, UNANSWERED, status_of
from server.receivers.access_log.moment import moment
from server.receivers.drained import (
    Drained,
    DrainedChange,
    DrainedLine,
    DrainedRequest,
    LostLines,
    require_lines,
)
from server.receivers.json_lines import inner_of, said_in
from server.receivers.syslog_frames import SyslogFrame, SyslogFrames

HEADER = re.compile(rb"<(\d{1,3})>1 (\S{1,40}) (\S{1,255}) (\S{1,255}) (\S{1,255}) (\S{1,255})(?: |$)")
PLATFORM = "heroku"
APPS = frozenset({"app", "heroku"})  # what stands where others have the name of the application
NIL = "-"
TOKEN = re.compile(rb"d\.[0-9a-f-]{36}$")

KEYS = "sock|at|code|desc|method|path|host|request_id|fwd|dyno|connect|service|status|bytes|protocol|tls_version|tls"
NAME = re.compile(rf"(?:^| )({KEYS})=")
BEFORE = frozenset({"sock", "at", "code", "desc", "method", "path"})  # of the names, those up to what a client wrote
MILLISECONDS = re.compile(r"(\d{1,9})(?:ms)?")
ERROR = re.compile(r"(?:Error )?([HRL]\d{2})\b")
LOST = re.compile(
    r"(?:dropp(?:ed|ing) (\d{1,12}) messages|(\d{1,12}) messages dropped)(?: since (\S{19,26}?(?:[+-]\d\d:\d\d|Z)))?",
    re.I,
)
LOSES = "L10"  # of all codes the one that says that lines of the router may be missing

BY = r" by (?:user )?(?P<actor>\S+)$"
RELEASE = re.compile(rf"Release (?P<version>v\d+) created{BY}")
SCALE = re.compile(rf"Scaled? to (?P<what>.+?){BY}")
CODE = re.compile(rf"(?P<what>(?:Deploy|Rollback|Promote)\w* .+?){BY}")
OTHER = re.compile(
    rf"(?P<what>(?:Set|Remove|Unset|Add|Add-on|Config|Update|Attach|Detach|Enable|Disable|Upgrade|Initial) .+?){BY}"
)
COMMIT = re.compile(r"Deploy\w* ([0-9a-f]{6,40})")
DEPLOY: Literal["deploy"] = "deploy"
OF_ELSE: Literal["other"] = "other"
BESIDE_US = 10_000_000  # at most between the line of a release and the one that says what it is of: mostly 0
NEAR = 4  # lines of the API, either way: those of several releases are mixed
VERSION_MAX, SUMMARY_MAX, TARGET_MAX = 200, 500, 2_000
ERROR_SEVERITY = 17


class LogplexLine(NamedTuple):
    """One message. `app` is `app` or `heroku`, `process` a dyno, `router`, `api` or `logplex`; `at` None: no time."""

    at: int | None
    app: str
    process: str
    text: str
    cut: bool


class ApiLine(NamedTuple):
    """A line of Heroku's API. `at` in microseconds since 1970."""

    service: str
    at: int
    text: str


def read(body: bytes, now: int, service: str = "") -> Drained:
    """What a body says. `now` in microseconds since 1970; `service` '': it is the host that the router names."""
    drained = Drained()
    told: list[ApiLine] = []
    for frame in SyslogFrames(body):
        line = line_of(frame)
        drained.messages += 1
        require_lines(drained.messages)
        drained.cut += line.cut
        whose = service or (line.app if line.app not in APPS else "") or PLATFORM
        if line.app == "heroku" and line.process == "router":
            take_router(drained, line, service, now)
            continue
        if line.process == "api" and line.app in APPS:
            told.append(ApiLine(whose, line.at or now, line.text))
        if line.process == "logplex":
            take_loss(drained, line, whose, now)
        drained.lines.append(log_line(line, whose))
    drained.changes = changes_in(told)
    return drained


def line_of(frame: SyslogFrame) -> LogplexLine:
    """One message, as far as it has a header."""
    data = frame.data.rstrip(b"\r\n\0")
    header = HEADER.match(data)
    if header is None:
        return LogplexLine(None, "", "", data.decode("utf-8", "replace"), frame.cut)
    at = moment(header[2].decode("ascii", "replace"))
    places = (3, 4) if TOKEN.match(header[5]) else (4, 5)  # as drains of 2012 had it
    app, process = (header[place].decode("utf-8", "replace") for place in places)
    text = data[header.end() :].decode("utf-8", "replace")
    if app == PLATFORM or process == "api":
        text = text.removeprefix("- ")  # what some shippers between put in as structured data
    return LogplexLine(at.at if at and at.zoned else None, app, process, text, frame.cut)


def log_line(line: LogplexLine, service: str) -> DrainedLine:
    """A message as a log line. Heroku writes all with one priority: what is wrong, the text alone says."""
    said = said_in(line.text, inner_of(line.text))
    severity, level = said.severity, said.level
    code = ERROR.match(line.text) if line.app == "heroku" else None
    if code:
        severity, level = ERROR_SEVERITY, code[1]
    dyno = "" if line.process == NIL else line.process
    kind = dyno.partition(".")[0]
    return DrainedLine(
        service, line.at, line.text, severity, level, dyno, kind, said.request_id, said.trace_id, line.cut
    )


def take_router(drained: Drained, line: LogplexLine, service: str, now: int) -> None:
    """A line of the router: a request, or why it is none and a log line."""
    pairs = pairs_in(line.text)
    whose = service or host_name(pairs.get("host", "")) or PLATFORM
    request = request_of(pairs, line, whose, now)
    if request is None:
        drained.left["no request of the router"] += 1
        drained.lines.append(log_line(line, whose))
    else:
        drained.requests.append(request)


def pairs_in(text: str) -> dict[str, str]:
    """The names and values of a line of the router; a value ends before the next name, so it may have spaces.

    What a path or a header pretends to be is none: of the names behind the path the last one is the router's own.
    """
    pairs: dict[str, str] = {}
    names = list(NAME.finditer(text))
    ends = [*(name.start() for name in names[1:]), len(text)]
    quotes = [place for place, end in enumerate(ends) if text[end - 1 : end] == '"']  # values that end with one
    place = closing = 0
    while place < len(names):
        begin, last = names[place].end(), place
        if quoted := text.startswith('"', begin):
            while closing < len(quotes) and (quotes[closing] < place or ends[quotes[closing]] <= begin + 1):
                closing += 1
            quoted = closing < len(quotes)
            last = quotes[closing] if quoted else place
        name, value = names[place][1], text[begin : ends[last]]
        if name not in pairs or name not in BEFORE:
            pairs[name] = value[1:-1] if quoted else value
        place = last + 1
    return pairs


def host_name(host: str) -> str:
    """The application that a host is of: `shop` of `shop-0123456789ab.herokuapp.com`, else the host itself."""
    name, dot, rest = host.partition(".")
    return re.sub(r"-[0-9a-f]{12}$", "", name) if dot and rest.startswith("herokuapp.com") else host[:VERSION_MAX]


def request_of(pairs: dict[str, str], line: LogplexLine, service: str, now: int) -> DrainedRequest | None:
    """The request that the router tells of; None where it tells of none."""
    status, method, path = status_of(pairs.get("status", "")), pairs.get("method", ""), pairs.get("path", "")
    if status is None or not method or not path:
        return None
    code = pairs.get("code", "") or (pairs["at"] if pairs.get("at") == "error" else "")
    given = pairs.get("request_id", "")
    return DrainedRequest(
        service=service,
        method=method[:32],
        target=path[:TARGET_MAX],
        status=status or 503,
        at=now if line.at is None else line.at,
        duration_us=taken_us(pairs, status),
        # H18: what was sent of the answer has its status, 200 mostly, and it was never whole.
        failed=True if code and 0 < status < 400 else None,
        abandoned=status in UNANSWERED,
        error_class=code,
        instance=pairs.get("dyno", ""),
        request_id=given if REQUEST_ID.fullmatch(given) else None,
    )


def taken_us(pairs: dict[str, str], status: int) -> int | None:
    """Microseconds until the answer had been sent; None where `service` is empty, and of a WebSocket."""
    served, connected = (MILLISECONDS.fullmatch(pairs.get(name, "")) for name in ("service", "connect"))
    if served is None or status == 101:
        return None
    return (int(served[1]) + (int(connected[1]) if connected else 0)) * 1000


def take_loss(drained: Drained, line: LogplexLine, service: str, now: int) -> None:
    """L10: lines of all kinds were thrown away before they came here."""
    code, lost = ERROR.match(line.text), LOST.search(line.text)
    if code is None or code[1] != LOSES or lost is None:
        return
    until = line.at or now
    since = moment(lost[3]) if lost[3] else None
    drained.lost.append(LostLines(service, int(lost[1] or lost[2]), min(since.at, until) if since else until, until))


def changes_in(told: list[ApiLine]) -> list[DrainedChange]:
    """The changes that lines of the API tell of. A release has two lines, one of which says what it is of."""
    changes: list[DrainedChange] = []
    taken: set[int] = set()
    for place, line in enumerate(told):
        release = RELEASE.fullmatch(line.text)
        if release is not None:
            beside = beside_of(told, place, release["actor"], taken)
            taken |= {place} if beside is None else {place, beside}
            changes.append(released(line, release, "" if beside is None else told[beside].text))
    changes += [one for place, line in enumerate(told) if place not in taken and (one := lone_change(line))]
    return sorted(changes, key=lambda one: one.at)


def released(line: ApiLine, release: re.Match[str], what: str) -> DrainedChange:
    """A release; `what` is the line that says what it is of, '' where none came."""
    found, version = described(what), release["version"]
    return DrainedChange(
        service=line.service,
        event=version,
        kind="other" if OTHER.fullmatch(what) else "deploy",
        version=version,
        summary=found["what"][:SUMMARY_MAX] if found else "",
        actor=release["actor"],
        at=line.at,
        returns=what.startswith("Rollback"),
    )


def described(text: str) -> re.Match[str] | None:
    """What a line says that a release is of."""
    return CODE.fullmatch(text) or OTHER.fullmatch(text)


def beside_of(told: list[ApiLine], place: int, actor: str, taken: set[int]) -> int | None:
    """Where the line stands that says what a release is of: of the same person, and of the same moment or nearly."""
    release = told[place]
    found: list[tuple[int, int, int]] = []
    for near in range(max(0, place - NEAR), min(len(told), place + NEAR + 1)):
        line, what = told[near], described(told[near].text)
        apart = abs(line.at - release.at)
        if near not in taken and what and what["actor"] == actor and line.service == release.service:
            found.append((apart, abs(near - place), near))
    apart, _, near = min(found, default=(BESIDE_US + 1, 0, 0))
    return near if apart <= BESIDE_US else None


def lone_change(line: ApiLine) -> DrainedChange | None:
    """A change that one line tells of. Of a release whose two lines came apart, each is one."""
    scale, found = SCALE.fullmatch(line.text), described(line.text)
    if scale is not None:
        what = scale["what"][:VERSION_MAX]
        event, summary = f"{line.at}/{what}", f"scaled to {what}"
        return DrainedChange(line.service, event, "scale", what, summary, scale["actor"], line.at, returns=False)
    if found is None:
        return None
    what = found["what"][:SUMMARY_MAX]
    code = COMMIT.fullmatch(what)
    version, kind = (code[1], DEPLOY) if code else (what[:VERSION_MAX], OF_ELSE)
    event = f"{line.at}/{what[:VERSION_MAX]}"
    return DrainedChange(line.service, event, kind, version, what, found["actor"], line.at, returns=False)
