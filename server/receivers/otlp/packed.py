"""The messages of the generated classes, but what repeats stays packed until somebody asks: spans, attributes, events.

To make an object of every attribute of every span costs ten times as much as all the rest of the protobuf, and most
attributes are never looked at, or are the same again and again: they are compared as they came. And what is read a
span at a time holds up nobody, and takes no more memory than the body, however small its spans are.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

KEY_FIRST = b"\x0a"  # what a packed attribute begins with whose key comes first, as encoders write it
FILE, PACKAGE = "evenkeel/packed.proto", "evenkeel.packed"
# Message -> field, number, type; a * is for repeated. As in opentelemetry/proto/trace/v1/trace.proto.
MESSAGES = {
    "PackedAttributes": ("attributes 1 bytes*",),
    "PackedScope": ("name 1 string",),
    "PackedStatus": ("code 3 int32",),
    "PackedSpan": (
        "trace_id 1 bytes",
        "span_id 2 bytes",
        "trace_state 3 string",
        "parent_span_id 4 bytes",
        "name 5 string",
        "kind 6 int32",
        "start_time_unix_nano 7 fixed64",
        "end_time_unix_nano 8 fixed64",
        "attributes 9 bytes*",
        "events 11 bytes*",
        "status 15 PackedStatus",
        "flags 16 fixed32",
    ),
    "PackedScopeSpans": ("scope 1 PackedScope", "spans 2 bytes*"),
    "PackedResourceSpans": ("resource 1 PackedAttributes", "scope_spans 2 bytes*"),
    "PackedTraces": ("resource_spans 1 bytes*",),
}
Field = descriptor_pb2.FieldDescriptorProto
TYPES = {
    "bytes": Field.TYPE_BYTES,
    "string": Field.TYPE_STRING,
    "int32": Field.TYPE_INT32,
    "fixed64": Field.TYPE_FIXED64,
    "fixed32": Field.TYPE_FIXED32,
}


def classes() -> dict[str, Any]:
    """A class for each message."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for field in fields:
            name, number, kind = field.split()
            added = described.field.add(name=name, number=int(number))
            added.label = Field.LABEL_REPEATED if kind.endswith("*") else Field.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            added.type = TYPES.get(kind, Field.TYPE_MESSAGE)
            if kind in MESSAGES:
                added.type_name = f".{PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


CLASSES = classes()
PackedTraces, PackedResourceSpans = CLASSES["PackedTraces"], CLASSES["PackedResourceSpans"]
PackedScopeSpans, PackedSpan = CLASSES["PackedScopeSpans"], CLASSES["PackedSpan"]


def begin_of(name: str) -> bytes:
    """What a packed attribute of this name begins with."""
    return KEY_FIRST + bytes([len(name)]) + name.encode()
