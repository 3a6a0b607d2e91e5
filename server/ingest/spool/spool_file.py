"""Records in a file of the spool: framed and checksummed, so that what was torn off or damaged is found.

A frame is the file's mark (8 random bytes that stand in its name and nowhere else), the length of the payload, a
CRC-32 of length and payload, the payload. Without the mark nothing that a sender puts into a payload passes for a
frame, where damage makes us look for the next one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

MARK_BYTES = 8
HEAD = struct.Struct(f">{MARK_BYTES}sII")
LENGTH = struct.Struct(">I")


class SpoolRead(NamedTuple):
    """The payloads of whole frames, in their order; bytes of what is none."""

    payloads: list[bytes]
    torn: int  # a frame that was being written when the process ended: nobody was told that it is kept
    broken: int  # damage


def framed(mark: bytes, payload: bytes) -> bytes:
    """A payload as it stands in the file of that mark."""
    return HEAD.pack(mark, len(payload), checksum(payload)) + payload


def checksum(payload: bytes) -> int:
    return crc32(payload, crc32(LENGTH.pack(len(payload))))


def read(data: bytes, mark: bytes) -> SpoolRead:
    """Everything in a file that is whole."""
    payloads: list[bytes] = []
    broken = place = 0
    while place < len(data):
        payload = whole_at(data, mark, place)
        if payload is not None:
            payloads.append(payload)
            place += HEAD.size + len(payload)
            continue
        further = next_whole(data, mark, place + 1)
        if further is None:
            rest = len(data) - place
            torn = unfinished(data, mark, place)
            return SpoolRead(payloads, rest if torn else 0, broken if torn else broken + rest)
        broken += further - place
        place = further
    return SpoolRead(payloads, 0, broken)


def unfinished(data: bytes, mark: bytes, place: int) -> bool:
    """Whether what stands there is the beginning of a frame and no more."""
    if len(data) - place < HEAD.size:
        return mark.startswith(data[place : place + MARK_BYTES])
    found, length, _ = HEAD.unpack_from(data, place)
    return bool(found == mark and length > len(data) - place - HEAD.size)


def whole_at(data: bytes, mark: bytes, place: int) -> bytes | None:
    """The payload of the frame that begins there; None where none does."""
    if len(data) - place < HEAD.size:
        return None
    found, length, sum_ = HEAD.unpack_from(data, place)
    begin = place + HEAD.size
    if found != mark or length > len(data) - begin:
        return None
    payload = data[begin : begin + length]
    return payload if checksum(payload) == sum_ else None


def next_whole(data: bytes, mark: bytes, place: int) -> int | None:
    """Where the next whole frame begins, from a place on."""
    at = data.find(mark, place)
    while at >= 0:
        if whole_at(data, mark, at) is not None:
            return at
        at = data.find(mark, at + 1)
    return None
