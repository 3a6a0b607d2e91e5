"""Lines that name every value: JSON of Caddy, nginx, Traefik, pino and others, and logfmt as of Heroku's router."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from server.receivers.access_log.entry import LeftKind, LeftLine, LoggedRequest, Read, request_of
from server.receivers.access_log.form import Found, Sense, entry_of
from server.receivers.access_log.moment import STAMP
from server.receivers.access_log.quick_records import Path, QuickRecord

PAIR = re.compile(r'(?<!\S)([A-Za-z_@][\w.@-]*)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
WAITING_MAX = 20_000
DEPTH = 4
QUICK_SAMPLE = 300  # lines
TIMES = (
    "msec", "ts", "time", "timestamp", "@timestamp", "time_iso8601", "time_local", "datetime", "date", "@t",
    "startutc", "start_time",
)  # fmt: skip
STARTS = ("startutc", "start_time")  # Traefik's and Envoy's
LEFT = ("stream closed prematurely", "request aborted")  # fastify's and pino-http's words for a client that left
METHODS = (
    "method", "request_method", "requestmethod", "req.method", "request.method", "http.request.method", "http_method",
    "verb", "httprequest.requestmethod", "httpmethod",
)  # fmt: skip
TARGETS = (
    "uri", "request_uri", "url", "path", "request_path", "requestpath", "req.url", "request.uri", "request.url",
    "url.path", "http.target", "target", "httprequest.requesturl", "req.path", "request.path",
)  # fmt: skip
STATUSES = (
    "status", "status_code", "statuscode", "res.statuscode", "response.status", "response.statuscode",
    "downstreamstatus", "http.response.status_code", "http.status_code", "response_code", "httprequest.status",
    "code", "http_status",
)  # fmt: skip
LINES = ("request", "request_line", "req")
IDS = ("request_id", "requestid", "x_request_id", "x-request-id", "http_x_request_id")
# Of a request that somebody got the answer to; of others more is asked.
USUAL: dict[str, Callable[[Any], bool]] = {
    "msg": lambda value: value not in LEFT,
    "request_completion": lambda value: value == "OK",
    "response_flags": lambda value: isinstance(value, str) and "DC" not in value,
}
# In this order: what says its unit by name, then what a known server means by it.
TAKEN = (
    ("request_time", "s"), ("responsetime", "ms"), ("duration_ms", "ms"), ("durationms", "ms"), ("latency_ms", "ms"),
    ("elapsed_ms", "ms"), ("elapsedms", "ms"), ("response_time_ms", "ms"), ("request_time_ms", "ms"),
    ("time_taken_ms", "ms"), ("took_ms", "ms"), ("latencyms", "ms"), ("duration_us", "us"), ("latency_us", "us"),
    ("elapsed_us", "us"), ("request_time_us", "us"), ("response_time_us", "us"), ("duration_ns", "ns"),
    ("latency_ns", "ns"), ("elapsed_ns", "ns"), ("duration_s", "s"), ("latency_s", "s"), ("elapsed_s", "s"),
    ("duration_seconds", "s"), ("response_time_s", "s"), ("rt", "s"), ("latency_human", None),
    ("httprequest.latency", None), ("upstream_response_time", "s"),
)  # fmt: skip


CADDY = "http.log.access"  # its logger


class KnownServer(NamedTuple):
    """What a known server means by a key that says no unit."""

    server: str
    is_it: Callable[[Mapping[str, str]], bool]
    key: str
    unit: str | None


SERVERS = (
    KnownServer("Caddy", lambda record: record.get("logger", "").startswith(CADDY), "duration", "s"),
    KnownServer(
        "Caddy", lambda record: record.get("msg") == "handled request" and "request.uri" in record, "duration", "s"
    ),
    KnownServer("Traefik", lambda record: "downstreamstatus" in record, "duration", "ns"),
    KnownServer("Envoy", lambda record: {"response_flags", "response_code"} <= record.keys(), "duration", "ms"),
    KnownServer("Rails", lambda record: {"controller", "action"} <= record.keys(), "duration", "ms"),
    KnownServer("Heroku's router", lambda record: {"dyno", "service"} <= record.keys(), "service", None),
)


def known_in(record: Mapping[str, str]) -> KnownServer | None:
    """The server that wrote a record, where its time is one that only it calls so."""
    return next((one for one in SERVERS if one.key in record and one.is_it(record)), None)


@dataclass(slots=True)
class RecordForm:
    """How records are read. `key` is that of the time taken, in lower case; None: none is taken."""

    name: str = "JSON, one object a line"
    sense: Sense = field(default_factory=Sense)
    key: str | None = None
    logfmt: bool = False
    sample: Sequence[str] = field(default=(), compare=False)  # of the lines

    def reader(self) -> RecordReader:
        return RecordReader(self)

    def record(self, line: str) -> dict[str, str] | None:
        """The record that a line is."""
        return logfmt(line) if self.logfmt else json_record(line)


class RecordReader:
    """Reads the records of one log; a request and its end may be two of them, as fastify's."""

    def __init__(self, form: RecordForm) -> None:
        self.form = form
        self._quick = quick_record(form.sample, form) if form.sample else None
        self._begun: dict[tuple[str, ...], dict[str, str]] = {}

    def read(self, line: str) -> tuple[Read, ...]:
        """What the line says; nothing yet where its request has not ended."""
        if self._quick is not None and (read := self._quick.read(line)) is not None:
            return (read,)
        return self._read(line)

    def _read(self, line: str) -> tuple[Read, ...]:
        record = self.form.record(line)
        if record is None:
            return (LeftLine(LeftKind.REFUSED, "it is no record of names and values"),)
        key = tuple(record.get(name, "") for name in ("hostname", "pid", "reqid"))
        asks, ends = asked(record), has(record, STATUSES)
        if key[-1] and asks and not ends:
            return self._begins(key, record)
        if key[-1] and ends and not asks:
            begun = self._begun.pop(key, None)
            if begun is None:
                return (LeftLine(LeftKind.OTHER, "it is the end of a request whose beginning is not in the log"),)
            return (entry_of(found_in(begun | record, self.form.key), self.form.sense),)
        if not asks or not ends:
            return (LeftLine(LeftKind.OTHER, "it tells of no request"),)
        return (entry_of(found_in(record, self.form.key), self.form.sense),)

    def rest(self) -> Iterator[Read]:
        """The requests that began and have no end in the log."""
        begun, self._begun = self._begun, {}
        return map(self._endless, begun.values())

    def _begins(self, key: tuple[str, ...], record: dict[str, str]) -> tuple[Read, ...]:
        earlier = self._begun.pop(key, None)
        if earlier is None and len(self._begun) >= WAITING_MAX:
            earlier = self._begun.pop(next(iter(self._begun)))
        self._begun[key] = record
        return (self._endless(earlier),) if earlier else ()

    def _endless(self, record: dict[str, str]) -> Read:
        read = entry_of(found_in(record | {"status": "-"}, None), self.form.sense)
        return read._replace(unanswered="no end in the log") if isinstance(read, LoggedRequest) else read


def found_in(record: Mapping[str, str], key: str | None) -> Found:
    """What is what, of a record."""
    status = first(record, STATUSES)
    upgraded = "resp_headers.sec-websocket-accept" in record or "resp_headers.upgrade" in record
    return {
        "time": first(record, TIMES),
        "request": next((record[name] for name in LINES if " " in record.get(name, "")), None),
        "method": first(record, METHODS),
        "target": first(record, TARGETS),
        "status": "101" if status == "0" and upgraded else status,  # Caddy's word for a WebSocket
        "taken": record.get(key) if key else None,
        "message": record.get("msg") if record.get("msg") in LEFT else None,
        "envoy": record.get("response_flags"),
        "completed": record.get("request_completion"),
        "id": first(record, IDS),
    }


def json_record(line: str) -> dict[str, str] | None:
    """A JSON object as names in lower case, those inside others after a dot. Of what stands before `{` the time is
    read, where the object has none, and the logger, as Caddy's console prints them."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        given = msgspec.json.decode(line[start:].rstrip().encode())
    except (ValueError, RecursionError):
        return None
    record: dict[str, str] = {}
    flatten("", given, record, DEPTH)
    if start and record:
        stamp = STAMP.search(line[:start])
        if stamp and not has(record, TIMES):
            record["time"] = stamp[0]
        if CADDY in line[:start]:
            record.setdefault("logger", CADDY)
    return record or None


def flatten(prefix: str, given: Any, into: dict[str, str], depth: int) -> None:
    """Add what is given to a record; the first of equal names stays."""
    if isinstance(given, dict):
        for name, value in given.items() if depth else ():
            flatten(f"{prefix}.{name}" if prefix else str(name), value, into, depth - 1)
    elif prefix:
        into.setdefault(prefix.lower(), text_of(given))


def text_of(value: Any) -> str:
    """A value as a line would have it; null is `-`."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return str(value) if "e" not in str(value) else f"{value:.9f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def logfmt(line: str) -> dict[str, str] | None:
    """`name=value` pairs, and as `time` the one that stands before them."""
    record: dict[str, str] = {}
    start = len(line)
    for found in PAIR.finditer(line):
        start = min(start, found.start())
        record.setdefault(found[1].lower(), found[2] if found[2] is not None else found[3])
    stamp = STAMP.search(line[:start])
    if stamp and not has(record, TIMES):
        record["time"] = stamp[0]
    return record or None


def asked(record: Mapping[str, str]) -> bool:
    """Whether a record tells what was asked for."""
    whole = any(request_of(record.get(name, "")) for name in LINES)
    return whole or (has(record, METHODS) and has(record, TARGETS))


def has(record: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(name in record for name in names)


def first(record: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((record[name] for name in names if name in record), None)


def quick_record(lines: Sequence[str], form: RecordForm) -> QuickRecord | None:
    """The quick way through lines like these; None where two of them tell of one request, or keys are not clear."""
    paths: dict[str, Path] = {}
    if form.logfmt or not all(spelled(line, paths) for line in lines[:QUICK_SAMPLE]) or "reqid" in paths:
        return None
    names = {"time": TIMES, "status": STATUSES, "request": LINES, "id": IDS, "taken": (form.key or "",)}
    if not any(name in paths for name in LINES):
        names |= {"method": METHODS, "target": TARGETS}
    known = {part: paths[name] for part, given in names.items() if (name := one_of(given, paths)) is not None}
    if not {"time", "status"} <= known.keys() or not ("request" in known or {"method", "target"} <= known.keys()):
        return None
    return QuickRecord(known, {paths.get(name, (name,)): usual for name, usual in USUAL.items()}, form.sense)


def spelled(line: str, paths: dict[str, Path]) -> bool:
    """Add where the values of a line stand, by their names; False where two are called the same."""
    try:
        return added(msgspec.json.decode(line), "", (), paths)
    except (ValueError, RecursionError):
        return True


def added(given: Any, name: str, path: Path, paths: dict[str, Path]) -> bool:
    if not isinstance(given, dict):
        return not path or paths.setdefault(name.lower(), path) == path
    if len(path) == DEPTH:
        return True
    return all(added(value, f"{name}.{key}" if name else key, (*path, key), paths) for key, value in given.items())


def one_of(names: Sequence[str], paths: Mapping[str, Path]) -> str | None:
    return next((name for name in names if name in paths), None)
