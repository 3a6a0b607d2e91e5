"""OTLP bodies to messages: protobuf by its generated classes, JSON by structs with the same names.

Whoever reads a message need not know how it came. In JSON every field may be missing or null; ids are hexadecimal,
whole numbers are numbers or text, and enumerations are numbers or their names (docs/protocol.md of opentelemetry-proto
0.20 and later, "JSON Protobuf Encoding"). What a field of a list holds is asked for with `or ()`.
"""

from __future__ import annotations

import binascii
import re
from functools import partial
from typing import Any, NamedTuple

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Raw, Struct
from opentelemetry.proto.common.v1.common_pb2 import KeyValue as PackedKeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as GeneratedSpan

from server.kernel.errors import ApiError
from server.receivers.otlp.packed import PackedTraces

Message = Any  # a generated class, or a struct of those below
OBJECTS_MAX = 4_000_000  # of JSON
TOO_MANY = "The body has more records than bytes to tell anything by. Nothing was stored."
PARTS_MAX = 100_000  # resources and scopes of a body: collectors put some thousand spans into one
BROKEN = (msgspec.DecodeError, DecodeError, UnicodeDecodeError, OverflowError, RecursionError)


# Half a character, which JavaScript writes of what it has cut in the middle of one; the backslashes before it stay.
HALF = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


class HexBytes(bytes):
    """Bytes that JSON has in hexadecimal: ids of traces and spans."""


def read_hex(kind: type, value: Any) -> Any:
    """For msgspec: what JSON has of such bytes. What is no hexadecimal is taken as it is: it is an id all the same."""
    if kind is not HexBytes:
        raise NotImplementedError
    text = value if isinstance(value, str) else ""
    try:
        return HexBytes(binascii.unhexlify(text))
    except (binascii.Error, ValueError):
        return HexBytes(text.encode())


NO_ID = HexBytes()


class AnyValue(Struct, rename="camel"):
    """One of these, or nothing."""

    string_value: str | None = None
    int_value: int | None = None
    bool_value: bool | None = None
    double_value: float | None = None
    array_value: ArrayValue | None = None
    kvlist_value: KeyValueList | None = None
    bytes_value: str | None = None  # base64

    def WhichOneof(self, _: str) -> str | None:
        """Which it is."""
        return next((name for name in self.__struct_fields__ if getattr(self, name) is not None), None)


class ArrayValue(Struct):
    """Several values."""

    values: list[AnyValue] | None = None


class KeyValue(Struct):
    """An attribute."""

    key: str = ""
    value: AnyValue | None = None


class KeyValueList(Struct):
    """Attributes as a value."""

    values: list[KeyValue] | None = None


class OtlpResource(Struct):
    """What sends: a process of a service."""

    attributes: list[KeyValue] | None = None


class OtlpScope(Struct):
    """The library that made spans, points or lines."""

    name: str | None = None
    version: str | None = None
    attributes: list[KeyValue] | None = None


class SpanStatus(Struct):
    """`code` 0: unset, 1: ok, 2: error."""

    code: int | str | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        self.code = numbered(self.code, STATUS_CODES)


class SpanEvent(Struct, rename="camel"):
    """Something that happened in a span, as an exception."""

    name: str | None = None
    time_unix_nano: int | None = None
    attributes: list[KeyValue] | None = None


class OtlpSpan(Struct, rename="camel"):
    """One span. `kind` 1: internal, 2: server, 3: client, 4: producer, 5: consumer."""

    trace_id: HexBytes = NO_ID
    span_id: HexBytes = NO_ID
    parent_span_id: HexBytes = NO_ID
    trace_state: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: int | None = None
    end_time_unix_nano: int | None = None
    attributes: list[KeyValue] | None = None
    events: list[SpanEvent] | None = None
    status: SpanStatus | None = None
    flags: int | None = None

    def __post_init__(self) -> None:
        self.kind = numbered(self.kind, SPAN_KINDS)
        self.status = self.status or SpanStatus()


class ScopeSpans(Struct, rename="camel"):
    """The spans of one scope, each to be read by `span_of`."""

    scope: OtlpScope | None = None
    spans: Raw = Raw(b"null")


class ResourceSpans(Struct, rename="camel"):
    """The spans of one resource."""

    resource: OtlpResource | None = None
    scope_spans: list[ScopeSpans] | None = None


class TracesRequest(Struct, rename="camel"):
    """ExportTraceServiceRequest."""

    resource_spans: list[ResourceSpans] | None = None


class LogRecord(Struct, rename="camel"):
    """One log line."""

    time_unix_nano: int | None = None
    observed_time_unix_nano: int | None = None
    severity_number: int | str | None = None
    severity_text: str | None = None
    body: AnyValue | None = None
    attributes: list[KeyValue] | None = None
    trace_id: HexBytes = NO_ID
    event_name: str | None = None

    def __post_init__(self) -> None:
        self.severity_number = numbered(self.severity_number, SEVERITY_NUMBERS)


SPAN_KINDS = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
SEVERITY_NUMBERS = {
    f"SEVERITY_NUMBER_{name}{place or ''}": 4 * number + max(place, 1)
    for number, name in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    for place in (0, 2, 3, 4)
}
STATUS_CODES = {f"STATUS_CODE_{name}": number for number, name in enumerate(("UNSET", "OK", "ERROR"))}


def numbered(value: int | str | None, names: dict[str, int]) -> int:
    """An enumeration's number, by which it came or by its name; 0 where it is not known."""
    if isinstance(value, int):
        return value
    return int(value) if value and value.isdecimal() else names.get(value or "", 0)


class OtlpRequest(NamedTuple):
    """What may be sent to an address: the generated class, and who decodes the same from JSON."""

    protobuf: Any
    json: msgspec.json.Decoder[Any]


def in_json(kind: type) -> msgspec.json.Decoder[Any]:
    """The decoder of a struct of these: numbers may be text."""
    return msgspec.json.Decoder(kind, strict=False, dec_hook=read_hex)


TRACES = OtlpRequest(PackedTraces, in_json(TracesRequest))
SPAN = in_json(OtlpSpan)


def read(body: bytes, asked: OtlpRequest, *, json: bool) -> Message:
    """The message in a body; an empty one says nothing. ApiError BAD_REQUEST where it cannot be read."""
    try:
        if not json:
            return asked.protobuf.FromString(body)
        return read_json(body, asked.json)
    except BROKEN as error:
        raise unreadable(error) from None


def read_json(body: bytes, json: msgspec.json.Decoder[Any]) -> Message:
    """What holds the records of a body, which are read one by one. ApiError BAD_REQUEST where they are too many."""
    if body.count(b"{") > OBJECTS_MAX:
        raise ApiError("BAD_REQUEST", TOO_MANY)
    return decoded(body or b"{}", json)


class AnyObject(Struct, gc=False):
    """An object, whatever it says."""


OBJECTS = msgspec.json.Decoder(list[AnyObject] | None)
RAW_LIST = msgspec.json.Decoder(list[Raw] | None)


def held_in(sent: Raw) -> list[Raw]:
    """What a list of objects holds, to be decoded one by one; nothing where it is null. msgspec.DecodeError.

    What is no object is refused before it takes any memory: the objects of a body are bounded.
    """
    OBJECTS.decode(sent)
    return RAW_LIST.decode(sent) or []


def span_of(sent: Raw) -> Message:
    """A span of JSON. ApiError BAD_REQUEST."""
    try:
        return decoded(bytes(sent), SPAN)
    except BROKEN as error:
        raise unreadable(error) from None


def decoded(body: bytes, json: msgspec.json.Decoder[Any]) -> Message:
    """What JSON says; half a character as the sign that there was one."""
    try:
        return json.decode(body)
    except msgspec.DecodeError:
        whole = HALF.sub(rb"\1\\ufffd", body)
        if whole == body:
            raise
        return json.decode(whole)


def require_few(parts: int) -> None:
    """ApiError BAD_REQUEST where a body has more resources and scopes than are read: each takes longer than its bytes
    say, for they may be empty."""
    if parts > PARTS_MAX:
        raise ApiError("BAD_REQUEST", f"The body has more than {PARTS_MAX} resources and scopes. Nothing was stored.")


def unreadable(error: Exception) -> ApiError:
    form = "protobuf" if isinstance(error, DecodeError) else "JSON"
    return ApiError("BAD_REQUEST", f"The body is not OTLP in {form}: {error}. Nothing was stored.")


def unpacked(kind: Any, sent: Message) -> Message:
    """A message of this class, of the bytes that are still packed; a struct as it is. DecodeError."""
    return kind.FromString(sent) if isinstance(sent, bytes) else sent


event_of = partial(unpacked, GeneratedSpan.Event)
attribute_of = partial(unpacked, PackedKeyValue)
