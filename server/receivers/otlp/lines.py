"""Log records to log lines: of any service, with its environment, and the trace in which it was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from server.receivers.drained import DrainedLine
from server.receivers.otlp.attributes import attributes_of, first_text, process_of, text
from server.receivers.otlp.wire import PARTS_MAX, Message, require_few

SLICE = 512  # records read before others get a turn
DEPTH = 8  # of lists and maps in a body
REQUEST_IDS = (
    "http.request.header.x_request_id", "http.request.header.x-request-id", "request_id", "request.id", "requestId",
    "req_id",
)  # fmt: skip


def read_lines(request: Message, lines: list[DrainedLine]) -> Iterator[None]:
    """Add the lines of a request; pauses now and then."""
    sent = request.resource_logs or ()
    require_few(len(sent) + sum(len(one.scope_logs or ()) for one in sent[:PARTS_MAX]))
    for place, of_resource in enumerate(sent, 1):
        if place % SLICE == 0:
            yield
        process = process_of(of_resource.resource)
        for of_scope in of_resource.scope_logs or ():
            logger = (of_scope.scope.name if of_scope.scope else "") or ""
            for record in of_scope.log_records or ():
                lines.append(line_of(record, process.service, process.instance or "", logger))
                if len(lines) % SLICE == 0:
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
