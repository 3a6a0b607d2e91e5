"""How a request ended, as a span tells it: its status, whether it failed, or that nobody knows."""

from __future__ import annotations

import re

from server.receivers.access_log.entry import UNANSWERED
from server.receivers.otlp.attributes import Attributes, attributes_of, text, whole
from server.receivers.otlp.wire import Message, event_of

ERROR = 2  # of a span's status
FAILED_FROM = 500
STATUS_MIN, STATUS_MAX = 100, 599
SWITCHED = 101
WSGI = "opentelemetry.instrumentation.wsgi"  # its spans end before anything is written: no exception is the client's

ABANDONED = None  # there was no answer, and nobody knows whether the request failed

# gRPC's codes as the statuses that its own mapping to HTTP has; the server's own faults are 500 and above.
GRPC: dict[str, int | None] = {
    "OK": 200,
    "CANCELLED": ABANDONED,  # 499: the client has taken its call back
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
GRPC_NAMES = tuple(GRPC)

# Exceptions of a server whose client has gone, by their last name.
CLIENT_LEFT = frozenset(
    {
        "StreamClosedError",  # Tornado, which makes it a 500
        "ClientDisconnect",  # Starlette
        "ClientDisconnected",  # Waitress
        "WebSocketDisconnect",
        "RequestAborted",  # Django
        "ClientAbortException",  # Tomcat
        "AsyncRequestNotUsableException",  # Spring
        "EofException",  # Jetty
        "WebSocketClosedError",  # Tornado
        "RequestCancelled",  # Sanic
        "UnreadablePostError",  # Django, in the middle of a body
        "ConnectionClosedException",
    }
)
ANSWERING = re.compile(r"\b(?:flush|finish|render|write_message)\(")  # what writes an answer of Tornado's
# The same, but they may also be of another server that this one asked: where the answer is no failure.
CLIENT_MAY_HAVE_LEFT = frozenset(
    {
        "CancelledError",
        "ClientConnectionResetError",
        "ConnectionResetError",
        "ConnectionAbortedError",
        "BrokenPipeError",
        "GeneratorExit",
        "ECONNRESET",
        "EPIPE",
        "ERR_STREAM_PREMATURE_CLOSE",
        "AbortError",
        "OperationCanceledException",
        "TaskCanceledException",
    }
)


def http_ended(span: Message, attributes: Attributes, scope: str) -> int | None:
    """The status of an HTTP request. A 4xx is no failure, whatever the span's own status says."""
    status = whole(attributes, "http.response.status_code", "http.status_code")
    if status is not None and not STATUS_MIN <= status <= STATUS_MAX:
        status = None
    if status in UNANSWERED:
        return ABANDONED
    failed = span.status.code == ERROR
    unsure = failed and (status is None or status < 400) and scope != WSGI
    if (span.events or failed) and client_left(span, attributes, unsure=unsure):
        return ABANDONED
    if status is None:
        return 500 if failed else ABANDONED if not span.status.code else 200
    if status == 200 and text(attributes, "url.scheme", "http.scheme") in ("ws", "wss"):
        return SWITCHED  # which ASGI tells as 200
    return status


def client_left(span: Message, attributes: Attributes, *, unsure: bool) -> bool:
    """Whether an exception says that the client had gone; `unsure`: it was this one where it may have been."""
    name = last_name(exception_type(span) or text(attributes, "error.type"))
    if name in CLIENT_LEFT:
        return not (name == "StreamClosedError" and of_another_stream(span))
    return unsure and name in CLIENT_MAY_HAVE_LEFT


def says_left(error_type: str) -> bool:
    """Whether the class of an error says that there was nobody left to answer."""
    return last_name(error_type) in CLIENT_LEFT | CLIENT_MAY_HAVE_LEFT


def of_another_stream(span: Message) -> bool:
    """Whether a stream that was closed is no client's of Tornado's: not where the answer was written."""
    stack = text(exception_of(span), "exception.stacktrace")
    lines = [line for line in stack.splitlines() if line[:4] == "    " and line.strip(" ^~")]
    return bool(lines) and ANSWERING.search(lines[-1]) is None


def rpc_ended(span: Message, attributes: Attributes) -> int | None:
    """The status of a remote procedure call: it has a code of its own and no HTTP status."""
    said = text(attributes, "rpc.response.status_code", "grpc.status_code")
    code = whole(attributes, "rpc.grpc.status_code", "rpc.response.status_code", "grpc.status_code")
    if code is not None:
        said = GRPC_NAMES[code] if 0 <= code < len(GRPC_NAMES) else "UNKNOWN"
    if said == "OK" and exception_type(span):  # grpcio: the handler raised, and the code was never set
        said = "UNKNOWN"
    if not said:
        return 500 if span.status.code == ERROR else 200
    return GRPC.get(said.upper(), 500)


def other_ended(span: Message) -> int:
    """The status of work that is no request over HTTP, as a task from a queue: by the span's own."""
    return 500 if span.status.code == ERROR else 200


def exception_of(span: Message) -> Attributes:
    """What the span recorded of its last exception; nothing where it recorded none."""
    for one in map(event_of, reversed(span.events or ())):
        if one.name == "exception":
            return attributes_of(one)
    return {}


def exception_type(span: Message) -> str:
    """The type of the last exception that the span recorded; '' where it recorded none."""
    exception = exception_of(span)
    return text(exception, "exception.type") or ("exception" if exception else "")


def last_name(kind: str) -> str:
    """A class without its module or package."""
    return kind.replace("::", ".").replace("$", ".").rpartition(".")[2]


def error_class(span: Message, attributes: Attributes) -> str | None:
    """What failed: `error.type`, but where that only repeats the status the exception's type."""
    said = text(attributes, "error.type")
    if said and not said.isdecimal() and said != "_OTHER":
        return said
    return exception_type(span) or None
