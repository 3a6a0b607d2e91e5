"""Rows in PostgreSQL's binary COPY format (documentation of COPY, "Binary Format").

Times come in microseconds since 1970 and go out in microseconds since 2000.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec

from server.live import pairs

BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
END = struct.pack(">h", -1)
EPOCH_2000 = 946_684_800_000_000


class Packers(dict[int, Callable[..., bytes]]):
    """By the length of the request id: packs a whole outcome row, up to the length of its detail."""

    def __missing__(self, length: int) -> Callable[..., bytes]:
        # 6 fields: at, series_id, duration_us, bad, request_id, detail, each after its length
        pack = self[length] = struct.Struct(f">hiqiiiqi?i{length}si").pack
        return pack


class UntimedPackers(Packers):
    """The same without a duration: null."""

    def __missing__(self, length: int) -> Callable[..., bytes]:
        packer = struct.Struct(f">hiqiiii?i{length}si").pack
        pack = self[length] = lambda *values: packer(*values[:5], -1, *values[7:])
        return pack


PACKERS = Packers()
UNTIMED_PACKERS = UntimedPackers()


class Detail(msgspec.Struct, omit_defaults=True):
    """What is kept beside an outcome where it was sent."""

    trace_id: str | None = None
    error_class: str | None = None
    dependency: str | None = None
    client: str | None = None
    instance: str | None = None


JSONB_VERSION = b"\x01"


def detail_bytes(detail: Detail) -> bytes:
    """The detail as jsonb."""
    return JSONB_VERSION + _encode(detail)


_encode = msgspec.json.Encoder().encode


def request_ids(now_us: int, random: bytes) -> tuple[bytes, int]:
    """For one batch: what its UUIDv7 begin with, and the number that the first one ends in.

    RFC 9562, section 6.2, method 1: the last 48 bits count on from 47 random ones,
    the 26 bits before them are random too. `random` has 10 bytes.
    """
    head = (now_us // 1000).to_bytes(6, "big").hex()
    value = int.from_bytes(random[:4], "big")
    prefix = f"{head[:8]}-{head[8:]}-7{value & 0xFFF:03x}-{0x8000 | value >> 12 & 0x3FFF:04x}-"
    return prefix.encode(), int.from_bytes(random[4:10], "big") >> 1


DELTA = struct.Struct(">hiqiqiiiqiiiiiq")  # 9 fields, up to duration_us; then fast and sketch as `packed`
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
