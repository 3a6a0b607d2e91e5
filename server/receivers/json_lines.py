"""JSON log lines as shippers send them over HTTP: Vector, Fluent Bit, Fluentd, Logstash, loggers themselves.

A body is an array of objects, objects one a line or one behind the other, or lines of plain text. The names are those
that these really send, dotted or nested: `{"log": {"level": "error"}}` is `log.level`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from json import JSONDecodeError, JSONDecoder
from typing import Any, NamedTuple

import msgspec

from server.receivers.drained import SEVERITIES, Drained, DrainedLine, ids_in, require_lines, severity_in
from server.receivers.environment import named

OBJECTS_A_LINE = 4
TEXTS = ("message", "log", "msg", "@m", "text", "MESSAGE", "event", "@mt", "short_message")
TIMES = ("timestamp", "@timestamp", "time", "date", "ts", "@t", "datetime", "timeMillis", "__REALTIME_TIMESTAMP")
LEVELS = (
    "level", "severity", "severity_text", "log.level", "levelname", "loglevel", "log_level", "lvl", "@l", "PRIORITY",
)  # fmt: skip
REQUEST_IDS = (
    "request_id", "requestId", "x_request_id", "x-request-id", "req_id", "reqId", "http.request.id", "req.id",
    "correlation_id", "correlationId", "proxy.requestId",
)  # fmt: skip
TRACE_IDS = ("trace_id", "traceId", "trace.id", "otelTraceID", "@tr", "traceparent")
SERVICES = (
    "service", "service.name", "service_name", "label.com.dokku.app-name", "container.labels.com.dokku.app-name",
    "fly.app.name", "app", "app_name", "appname", "application", "projectName",
    "kubernetes.labels.app.kubernetes.io/name", "kubernetes.pod_labels.app.kubernetes.io/name", "kubernetes.labels.app",
    "kubernetes.pod_labels.app", "kubernetes.container_name", "container_name", "SYSLOG_IDENTIFIER", "name",
)  # fmt: skip
ENVIRONMENTS = ("deployment.environment.name", "deployment.environment", "service.environment", "environment", "env")
INSTANCES = (
    "instance", "service.instance.id", "dyno", "kubernetes.pod_name", "fly.app.instance", "pod", "hostname", "host",
    "host.name", "_HOSTNAME", "container_id",
)  # fmt: skip
PROCESSES = ("logger", "logger_name", "log.logger", "component", "process", "process.name", "stream", "source")
STACKS = ("exception", "err.stack", "error.stack", "error.stack_trace", "stack_trace", "stack", "@x", "exc_info")

# Numbers of levels: pino's and bunyan's from 10 on, below syslog's.
OF_PINO = ((60, 21), (50, 17), (40, 13), (30, 9), (20, 5), (0, 1))
OF_SYSLOG = (21, 19, 18, 17, 13, 10, 9, 5)
MORE_WORDS = {"verbose": 5, "information": 9, "wrn": 13, "inf": 9, "dbg": 5, "ftl": 21, "severe": 17, "critical": 18}
# Below so many it is seconds since 1970, then milliseconds, microseconds, nanoseconds; what a microsecond is in each.
UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0), (float("inf"), 0.001))
ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?", re.I)
NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,9})?")
PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
DEPTH = 6  # of objects in objects that are looked into

_decode = msgspec.json.Decoder().decode
_walk = JSONDecoder().raw_decode


def read(body: bytes, service: str = "") -> Drained:
    """What a body says. `service` is that of all its lines; '' where each names its own."""
    require_lines(max(body.count(b"\n"), body.count(b"{") // OBJECTS_A_LINE))  # before all of them are in memory
    drained = Drained()
    for one in records_in(body):
        drained.messages += 1
        require_lines(drained.messages)
        if isinstance(one, dict):
            line = line_of(flat(one), service)
        elif isinstance(one, str):
            line = plain(one, service)
        else:
            drained.left["no object"] += 1
            continue
        if not line.service:
            drained.left["no service"] += 1
            continue
        drained.cut += line.cut
        drained.lines.append(line)
    return drained


def records_in(body: bytes) -> Iterator[Any]:
    """The objects of a body; what is no JSON as text, a line each."""
    try:
        whole = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    else:
        yield from whole if isinstance(whole, list) else [whole]
        return
    for line in body.decode("utf-8", "replace").splitlines():
        if line.strip():
            yield from objects_in(line.strip())


def objects_in(line: str) -> Iterator[Any]:
    """The objects of a line, one behind the other; the line itself where it holds something else."""
    if not line.startswith("{"):
        yield line
        return
    place, found = 0, []
    while place < len(line):
        try:
            one, place = _walk(line, place)
        except (JSONDecodeError, RecursionError):
            yield line
            return
        found.append(one)
        while place < len(line) and line[place] in " ,\t":
            place += 1
    yield from found


def flat(record: Mapping[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """An object as one level of dotted names."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and depth < DEPTH:
            found |= flat(value, f"{before}{name}.", depth + 1)
        else:
            found[f"{before}{name}"] = value
    return found


def line_of(record: Mapping[str, Any], service: str = "") -> DrainedLine:
    """A record as a line; of service '' where it names none."""
    whose = service or named(first(record, SERVICES).removeprefix("/"), first(record, ENVIRONMENTS))
    text = first(record, TEXTS).rstrip("\r\n")
    inner = inner_of(text)
    stack = next((value for name in STACKS if isinstance(value := record.get(name), str) and value not in text), "")
    if not text:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))  # bears halves of characters
    severity, level = severity_of(record)
    within = said_in(text, inner)
    if not severity:
        severity, level = within.severity, within.level
    request_id, trace_id = ids_of(record)
    return DrainedLine(
        service=whose,
        at=time_of(record) or time_of(inner),
        text=f"{text}\n{stack}" if stack else text,
        severity=severity,
        level=level,
        instance=first(record, INSTANCES),
        process=first(record, PROCESSES),
        request_id=request_id or within.request_id,
        trace_id=trace_id or within.trace_id,
        cut=record.get("partial") is True or record.get("_partial") is True,
    )


def plain(text: str, service: str) -> DrainedLine:
    """A line of text."""
    said = said_in(text, {})
    return DrainedLine(
        service, None, text, said.severity, said.level, "", "", said.request_id, said.trace_id, cut=False
    )


class SaidInText(NamedTuple):
    """What a text says of itself: OpenTelemetry's number of its severity (0: nothing), its word, ids ('': none)."""

    severity: int
    level: str
    request_id: str
    trace_id: str


def said_in(text: str, inner: Mapping[str, Any]) -> SaidInText:
    """What a text says, where it is JSON by its names: `inner` is `inner_of(text)`."""
    if inner:
        return SaidInText(*severity_of(inner), *ids_of(inner))
    return SaidInText(*severity_in(text), *ids_in(text))


def inner_of(text: str) -> dict[str, Any]:
    """The object that a container wrote as its line; empty where it wrote something else."""
    if text.startswith("{"):
        try:
            found = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            return {}
        return flat(found) if isinstance(found, dict) else {}
    return {}


def first(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of these that is a text or a number, as text."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return ""


def severity_of(record: Mapping[str, Any]) -> tuple[int, str]:
    """OpenTelemetry's number of a record's level, and the level as it was sent; (0, '') where it names none."""
    number = record.get("severity_number")
    level = first(record, LEVELS)
    if isinstance(number, int) and 1 <= number <= 24:
        return number, level
    if level.isdecimal():
        value = int(level)
        if value >= 10:
            return next(found for least, found in OF_PINO if value >= least), level
        return (OF_SYSLOG[value], level) if value < len(OF_SYSLOG) else (0, level)
    word = level.lower()
    return SEVERITIES.get(word) or MORE_WORDS.get(word) or 0, level


def ids_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Request id and trace id, each '' where it is not named."""
    trace = first(record, TRACE_IDS) or first(record, ("logging.googleapis.com/trace",)).rpartition("/")[2]
    parent = PARENT.fullmatch(trace)
    return first(record, REQUEST_IDS), parent[1] if parent else trace


def time_of(record: Mapping[str, Any]) -> int | None:
    """When it was written, in microseconds since 1970; None where it does not say. A time without a zone is UTC."""
    for name in TIMES:
        value = record.get(name)
        if isinstance(value, str):
            found = NUMBER.fullmatch(value)
            at = since_1970(float(value)) if found else written(value)
        else:
            at = since_1970(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        if at is not None:
            return at
    return None


def since_1970(value: float) -> int | None:
    """A number of seconds, milliseconds, microseconds or nanoseconds, by its size."""
    if not 1e8 < value < 1e19:
        return None
    return int(value * next(factor for below, factor in UNITS if value < below))


def written(text: str) -> int | None:
    """A time as ISO 8601 writes it, in microseconds since 1970."""
    found = ISO.match(text)
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+0000" if zone in (None, "Z", "z") else zone.replace(":", "")
    try:
        at = datetime.strptime(f"{day}T{clock}{zone}", "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
    except (ValueError, OverflowError):  # none at all, or beyond the years that there are
        return None
    return int(at.timestamp()) * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])
