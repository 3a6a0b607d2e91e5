"""What of an outcome or a delta has no fixed width, as a binary COPY has it; and request ids for those without."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from server.ingest.outcome import Outcome
from server.live import pairs
from server.tables import outcomes as tables
from server.tables.binary import NULL, Copied, field_of
from server.tables.detail import FIELDS

OUTCOMES = Copied(tables.outcomes)
DELTAS = Copied(tables.deltas)

JSONB_VERSION = b"\x01"
NO_DETAIL = (*(None,) * len(FIELDS), 1)

Sent = msgspec.defstruct("Sent", [*((name, Any, None) for name in FIELDS), ("weight", int, 1)], omit_defaults=True)
sent_in = attrgetter(*FIELDS, "weight")
_encode = msgspec.json.Encoder().encode


def details(outcomes: Iterable[Outcome]) -> list[bytes]:
    """The detail of each as jsonb; null where none was sent."""
    return [
        NULL if sent == NO_DETAIL else field_of(JSONB_VERSION + _encode(Sent(*sent))) for sent in map(sent_in, outcomes)
    ]


def ids_of(outcomes: Sequence[Outcome], times: Sequence[int], random: bytes) -> list[bytes]:
    """The request id of each; those without one get one. `random` has 10 bytes."""
    prefix, number = request_ids(max(times, default=0), random)
    begun = field_of(prefix + b"0" * 12)[:-12]
    return [
        b"%b%012x" % (begun, place) if outcome.request_id is None else field_of(outcome.request_id.encode())
        for place, outcome in enumerate(outcomes, number)
    ]


def request_ids(now_us: int, random: bytes) -> tuple[bytes, int]:
    """For one batch: what its UUIDv7 begin with, and the number that the first one ends in.

    RFC 9562, section 6.2, method 1: the last 48 bits count on from 47 random ones,
    the 26 bits before them are random too. `random` has 10 bytes.
    """
    head = (now_us // 1000).to_bytes(6, "big").hex()
    value = int.from_bytes(random[:4], "big")
    prefix = f"{head[:8]}-{head[8:]}-7{value & 0xFFF:03x}-{0x8000 | value >> 12 & 0x3FFF:04x}-"
    return prefix.encode(), int.from_bytes(random[4:10], "big") >> 1


_PAIR = struct.Struct(">iq")
_ARRAY = struct.Struct(">iiiiii")
_EMPTY = struct.pack(">iiii", 12, 0, 0, 20)


def packed(counts: dict[int, int]) -> bytes:
    """Counts by key as a bigint[] of packed pairs (server/live/pairs.py), length first."""
    elements = pairs.pack(counts)
    if not elements:
        return _EMPTY
    head = _ARRAY.pack(20 + 12 * len(elements), 1, 0, 20, len(elements), 1)
    return head + b"".join([_PAIR.pack(8, element) for element in elements])
