"""Bodies of OTLP as the real SDK makes them, and the recorded ones with their truth."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode

from server.ingest.routes.templates import NO_PATTERNS
from server.receivers.otlp.spans import ReadSpans, read_spans
from server.receivers.otlp.wire import TRACES, read

DATA = Path("/work/shared/data/otlp")
HTTP = "opentelemetry.instrumentation.flask"


class Spans:
    """A process that makes spans; `body` is what its exporter sends."""

    def __init__(self, **resource: str) -> None:
        given = {name.replace("_", "."): value for name, value in ({"service_name": "shop"} | resource).items()}
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource(given), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))

    def add(
        self,
        attributes: Mapping[str, Any] | None = None,
        *,
        name: str = "GET /pay",
        scope: str = HTTP,
        kind: SpanKind = SpanKind.SERVER,
        error: bool = False,
        raised: Exception | None = None,
        calls: Sequence[Mapping[str, Any]] = (),
        inside: Mapping[str, Any] | None = None,
    ) -> None:
        """One span of 12 ms that ended now; `calls`: the attributes of calls in it that failed; `inside`: those of the
        span of an application within this one."""
        tracer, now = self.provider.get_tracer(scope), time.time_ns()
        with tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, start_time=now - 12_000_000, end_on_exit=False
        ) as span:
            if inside is not None:
                tracer.start_span("inside", attributes=inside).end()
            for call in calls:
                with (
                    self.provider.get_tracer("inside").start_as_current_span("work"),
                    tracer.start_as_current_span("call", kind=SpanKind.CLIENT, attributes=call) as called,
                ):
                    called.set_status(StatusCode.ERROR)
        if raised is not None:
            span.record_exception(raised)
        if error:
            span.set_status(Status(StatusCode.ERROR, "x"))
        span.end(now)

    @contextmanager
    def within(self, attributes: Mapping[str, Any] | None, *, kind: SpanKind = SpanKind.SERVER) -> Iterator[None]:
        """A span around others, which failed where it has a status of 500."""
        tracer = self.provider.get_tracer("outside")
        with tracer.start_as_current_span("GET", kind=kind, attributes=attributes) as span:
            yield
            if (attributes or {}).get("http.response.status_code") == 500:
                span.set_status(StatusCode.ERROR)

    @property
    def message(self) -> ExportTraceServiceRequest:
        return encode_spans(self.memory.get_finished_spans())

    def body(self) -> bytes:
        return self.message.SerializeToString()


@contextmanager
def another_process() -> Iterator[None]:
    """What is called by the span that is current, over the network."""
    caller = trace.get_current_span().get_span_context()
    sent = SpanContext(caller.trace_id, caller.span_id, is_remote=True, trace_flags=caller.trace_flags)
    token = attach(trace.set_span_in_context(NonRecordingSpan(sent)))
    yield
    detach(token)


def http(status: int | None, **more: Any) -> dict[str, Any]:
    """Attributes of a request of the new conventions."""
    given = {"http.request.method": "GET", "http.route": "/pay", "url.scheme": "http", "url.path": "/pay"}
    return given | ({} if status is None else {"http.response.status_code": status}) | more


def as_json(message: ExportTraceServiceRequest, *, text: bool = True) -> bytes:
    """The same in JSON: ids in hexadecimal; `text`: whole numbers are text."""
    found = MessageToDict(message)
    for span in spans_of(found):
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in span:
                span[name] = __import__("base64").b64decode(span[name]).hex()
        span["kind"] = 2 if span["kind"] == "SPAN_KIND_SERVER" else span["kind"]
        if not text:
            span |= {name: int(span[name]) for name in ("startTimeUnixNano", "endTimeUnixNano")}
    return json.dumps(found).encode()


def spans_of(found: Any) -> list[dict[str, Any]]:
    """The spans of a JSON body."""
    return [span for resource in found["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]]


def outcomes(body: bytes, into: ReadSpans | None = None, *, json: bool = False) -> ReadSpans:
    """What a body of spans says."""
    found = into or ReadSpans(route_of)
    for _ in read_spans(read(body, TRACES, json=json), found):
        pass
    return found


def route_of(_service: str, path: str, status: int) -> str:
    """As server/ingest/routes/route_patterns.py, where nothing was learned."""
    return "(not found)" if status == 404 else NO_PATTERNS.route(path).route


def recorded(name: str) -> tuple[bytes, bool]:
    """A recorded body, unpacked, and whether it is JSON."""
    path = DATA / name
    body, headers = path.read_bytes(), path.with_suffix(".headers").read_text().lower()
    if "content-encoding: gzip" in headers:
        body = gzip.decompress(body)
    if "content-encoding: deflate" in headers:
        body = zlib.decompress(body)
    return body, path.suffix == ".json"


def moved(body: bytes, now_ns: int, *, json_sent: bool) -> bytes:
    """A body with its spans moved so that the last ended at `now_ns`."""
    names = ("start_time_unix_nano", "end_time_unix_nano")
    if json_sent:
        found = json.loads(body)
        spans = spans_of(found)
        by = now_ns - max(int(span["endTimeUnixNano"]) for span in spans)
        for span in spans:
            span |= {name: str(int(span[name]) + by) for name in ("startTimeUnixNano", "endTimeUnixNano")}
        return json.dumps(found).encode()
    message = ExportTraceServiceRequest.FromString(body)
    sent = [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]
    by = now_ns - max(span.end_time_unix_nano for span in sent)
    for span in sent:
        for name in names:
            setattr(span, name, getattr(span, name) + by)
    return message.SerializeToString()
