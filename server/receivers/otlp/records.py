"""The records of a body of logs or metrics, however many and however small: each is unpacked when it is read.

So a body takes no more memory than its bytes, and whoever reads it can give others a turn between two records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Raw, defstruct
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from server.kernel.errors import ApiError
from server.receivers.otlp.wire import (
    BROKEN,
    TOO_MANY,
    Message,
    OtlpResource,
    OtlpScope,
    decoded,
    held_in,
    in_json,
    read_json,
    require_few,
    unreadable,
)

FIELDS_MAX = 1_000_000  # of what holds records, and records: real ones have more than the 67 bytes that leaves them
VARINT, EIGHT, SIZED, FOUR = 0, 1, 2, 5  # kinds of fields of protobuf
FIRST, SECOND = 1, 2  # fields: of a request its resources; of a resource and a scope itself, and what it holds


class PackedField(NamedTuple):
    """A field of a message: where its bytes begin and end, or of a whole number that and -1."""

    number: int
    start: int
    stop: int


class PackedBody:
    """A body of protobuf; what is in it is walked over, field by field."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._left = FIELDS_MAX

    def fields(self, at: int, end: int) -> Iterator[PackedField]:
        """The fields of the message between two places. DecodeError; ApiError BAD_REQUEST where they are too many."""
        data = self.data
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise ApiError("BAD_REQUEST", TOO_MANY)
            tag, at = data[at], at + 1
            if tag > 127:
                tag, at = self._whole(at - 1, end)
            kind, number = tag & 7, tag >> 3
            if kind == SIZED:
                size, at = self._whole(at, end)
                if at + size > end:
                    raise DecodeError("it ends within a field")
                yield PackedField(number, at, at + size)
                at += size
            elif kind == VARINT:
                value, at = self._whole(at, end)
                yield PackedField(number, value, -1)
            elif kind in (EIGHT, FOUR):
                at += 8 if kind == EIGHT else 4
            else:
                raise DecodeError("a field is of no kind that there is")
        if at != end:
            raise DecodeError("it ends within a field")

    def _whole(self, at: int, end: int) -> tuple[int, int]:
        """A whole number, and where it ends."""
        value = shift = 0
        while at < end and shift < 70:
            byte = self.data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7
        raise DecodeError("it ends within a number")

    def part(self, field: PackedField) -> bytes:
        """The bytes of a field."""
        return self.data[field.start : field.stop]


class SentRecord(NamedTuple):
    """A record, and the scope in which it was made; None: not told."""

    scope: Message | None
    record: Message


class SentResource(NamedTuple):
    """A resource, and its records, to be read once."""

    resource: Message | None
    records: Iterator[SentRecord]


class OtlpRecords(NamedTuple):
    """How to read the records of one kind: of protobuf by who unpacks one, of JSON by decoders."""

    unpack: Callable[[PackedBody, PackedField], Message]
    request: msgspec.json.Decoder[Any]
    record: msgspec.json.Decoder[Any]


def records_of(kind: str, holds: str, unpack: Callable[[PackedBody, PackedField], Message], struct: Any) -> OtlpRecords:
    """Those of a kind, as `Logs`, under the name that they have in a scope."""
    scope = defstruct(
        "JsonScope", [("scope", OtlpScope | None, None), ("records", Raw, Raw(b"null"))], rename={"records": holds}
    )
    resource = defstruct(
        "JsonResource",
        [("resource", OtlpResource | None, None), ("scopes", list[scope] | None, None)],  # type: ignore[valid-type]
        rename={"scopes": f"scope{kind}"},
    )
    request = defstruct(
        "JsonRequest",
        [("resources", list[resource] | None, None)],  # type: ignore[valid-type]
        rename={"resources": f"resource{kind}"},
    )
    return OtlpRecords(unpack, in_json(request), in_json(struct))


def sent_resources(body: bytes, asked: OtlpRecords, *, json: bool) -> Iterator[SentResource]:
    """The resources in a body; an empty one says nothing. ApiError BAD_REQUEST where it cannot be read, also from the
    records of each."""
    return in_json_of(body, asked) if json else packed(PackedBody(body), asked)


def packed(body: PackedBody, asked: OtlpRecords) -> Iterator[SentResource]:
    parts = 0
    try:
        for sent in body.fields(0, len(body.data)):
            if sent.number == FIRST and sent.stop >= 0:
                resource, scopes = None, []
                for field in body.fields(sent.start, sent.stop):
                    if field.number == FIRST and field.stop >= 0:
                        resource = Resource.FromString(body.part(field))
                    elif field.number == SECOND and field.stop >= 0:
                        scopes.append(field)
                parts += 1 + len(scopes)
                require_few(parts)
                yield SentResource(resource, packed_records(body, scopes, asked))
    except BROKEN as error:
        raise unreadable(error) from None


def packed_records(body: PackedBody, scopes: list[PackedField], asked: OtlpRecords) -> Iterator[SentRecord]:
    """Those of some scopes. A scope comes before its records, as encoders write it."""
    try:
        for held in scopes:
            scope = None
            for field in body.fields(held.start, held.stop):
                if field.number == FIRST and field.stop >= 0:
                    scope = InstrumentationScope.FromString(body.part(field))
                elif field.number == SECOND and field.stop >= 0:
                    yield SentRecord(scope, asked.unpack(body, field))
    except BROKEN as error:
        raise unreadable(error) from None


def in_json_of(body: bytes, asked: OtlpRecords) -> Iterator[SentResource]:
    """The same of JSON, where what holds records is read at once, and they one by one."""
    try:
        request = read_json(body, asked.request)
    except BROKEN as error:
        raise unreadable(error) from None
    sent = request.resources or ()
    require_few(len(sent) + sum(len(one.scopes or ()) for one in sent))
    for one in sent:
        yield SentResource(one.resource, json_records(one.scopes or (), asked))


def json_records(scopes: Any, asked: OtlpRecords) -> Iterator[SentRecord]:
    for one in scopes:
        for record in json_list(one.records, asked.record):
            yield SentRecord(one.scope, record)


def json_list(sent: Raw, kind: msgspec.json.Decoder[Any]) -> Iterator[Message]:
    """What a list holds, one by one; nothing where it is null. ApiError BAD_REQUEST."""
    try:
        for one in held_in(sent):
            yield decoded(bytes(one), kind)
    except BROKEN as error:
        raise unreadable(error) from None
