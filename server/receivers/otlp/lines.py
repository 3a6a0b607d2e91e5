"""Log records to log lines: of any service, with its environment, and the trace in which it was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as PackedLogRecord

from server.receivers.drained import DrainedLine, require_lines
from server.receivers.otlp.attributes import attributes_of, first_text, process_of, text
from server.receivers.otlp.records import SentResource, records_of
from server.receivers.otlp.wire import LogRecord, Message

SLICE = 512  # records read before others get a turn
DEPTH = 8  # of lists and maps in a body
REQUEST_IDS = (
    "http.request.header.x_request_id", "http.request.header.x-request-id", "request_id", "request.id", "requestId",
    "req_id",
)  # fmt: skip


def read_lines(request: Iterator[SentResource], lines: list[DrainedLine]) -> Iterator[None]:
    """Add the lines of a request; pauses now and then. ApiError PAYLOAD_TOO_LARGE."""
    for place, sent in enumerate(request, 1):
        if place % SLICE == 0:
            yield
        process = process_of(sent.resource)
        for scope, record in sent.records:
            lines.append(line_of(record, process.service, process.instance or "", (scope and scope.name) or ""))
            if len(lines) % SLICE == 0:
                require_lines(len(lines))
                yield


def line_of(record: Message, service: str, instance: str, logger: str) -> DrainedLine:
    """A record as a line. One without a time of its own has that at which it was seen."""
    attributes = attributes_of(record)
    return DrainedLine(
        service=service,
        at=int(record.time_unix_nano or record.observed_time_unix_nano or 0) // 1000 or None,
        text=message_of(record, attributes),
        severity=int(record.severity_number or 0),
        level=record.severity_text or "",
        instance=instance,
        process=logger,
        request_id=first_text(attributes, *REQUEST_IDS),
        trace_id=bytes(record.trace_id or b"").hex(),
        cut=False,
    )


def message_of(record: Message, attributes: dict[str, Any]) -> str:
    """Its text, and under it where an exception came from; of an event without text its name."""
    body = said(record.body, DEPTH)
    message = body if isinstance(body, str) else "" if body is None else msgspec.json.encode(body).decode()
    stack = text(attributes, "exception.stacktrace") or ": ".join(
        filter(None, (text(attributes, "exception.type"), text(attributes, "exception.message")))
    )
    parts = [message or record.event_name or "", "" if stack and stack in message else stack]
    return "\n".join(filter(None, parts))


def said(value: Message, depth: int) -> Any:
    """A value as Python has it; None where it is none, or too deep."""
    which = value.WhichOneof("value") if value is not None else None
    if which is None or depth == 0:
        return None
    found = getattr(value, which)
    if which == "array_value":
        return [said(one, depth - 1) for one in found.values or ()]
    if which == "kvlist_value":
        return {one.key: said(one.value, depth - 1) for one in found.values or ()}
    return found.hex() if isinstance(found, bytes) else found


LOGS = records_of("Logs", "logRecords", lambda body, field: PackedLogRecord.FromString(body.part(field)), LogRecord)
