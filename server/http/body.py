"""The body of a request as it arrives: counted on the wire and decompressed, bounded by itself and by all of a process.

Who may send one is decided from the headers (server/http/handler.py), and a refusal reaches
its sender although the rest is still coming (server/http/connection.py).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

from server.kernel.errors import ApiError

BODY_MAX = 256 * 1024  # bytes, of every address that has no limit of its own
BODY_S = 30.0  # for the whole body
ROOM_BYTES = 64 * 1024 * 1024  # decompressed, over all connections of a process
TELEMETRY_BYTES = 64 * 1024 * 1024  # of one body of telemetry, and of all of them: beside ROOM_BYTES
STRANGERS_BYTES = 8 * 1024 * 1024  # the part of it for who has not said who they are: forms, signed notices
LENGTH_MAX = 2**63 - 1  # in answers; the header may have thousands of digits
Coding = Literal["identity", "gzip", "deflate"]
CODINGS: dict[str, Coding] = {
    "": "identity",
    "identity": "identity",
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
}

GZIP, ZLIB, BARE = 31, 15, -15  # zlib's wbits: for a gzip header, for its own, and for none


def declared(length: str) -> int:
    """A Content-Length as a number, at most LENGTH_MAX; 0 where it is none, which the connection refuses.

    The same one given twice, as some proxies do, is one; of unequal ones the connection refuses the request.
    """
    length = length.partition(",")[0]
    return min(int(length.lstrip("0")[:20] or 0), LENGTH_MAX) if length.isdecimal() else 0


@dataclass(slots=True)
class Room:
    """The bytes of bodies that are in memory, over all connections of a process. `most` 0: ROOM_BYTES."""

    most: int = 0
    taken: int = 0
    strangers: int = 0  # of them

    def take(self, size: int, *, stranger: bool) -> None:
        """Room for more of a body; ApiError QUEUE_FULL where too much is being read already."""
        if self.taken + size > (self.most or ROOM_BYTES) or (stranger and self.strangers + size > STRANGERS_BYTES):
            raise ApiError(
                "QUEUE_FULL", "Too many bodies are being read. Nothing was done: send it again.", retry_after=1
            )
        self.give(-size, stranger=stranger)

    def give(self, size: int, *, stranger: bool) -> None:
        """Give back what was taken."""
        self.taken -= size
        if stranger:
            self.strangers -= size


class UploadBody:
    """Collects a body of at most `limit` bytes; `feed` raises ApiError at the byte that is too many."""

    def __init__(self, limit: int, coding: Coding) -> None:
        self.limit = limit
        self.received = 0  # on the wire
        self.size = 0  # decompressed, in memory
        self._chunks: list[bytes] = []
        self._coding = coding
        self._packed = zlib.decompressobj(GZIP) if coding == "gzip" else None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; PAYLOAD_TOO_LARGE, or BAD_REQUEST where they are not gzip."""
        self.received += len(chunk)
        if self.received > self.limit:
            raise too_large(self.limit, self.received, "at least ")
        if self._coding == "identity":
            self._keep(chunk)
        else:
            self._decompress(chunk)

    def _decompress(self, chunk: bytes) -> None:
        try:
            while chunk:
                if self._packed is None or (self._packed.eof and self._coding == "gzip"):  # another member follows
                    self._packed = zlib.decompressobj(GZIP if self._coding == "gzip" else deflated(chunk))
                self._keep(self._packed.decompress(chunk, self.limit + 1 - self.size))
                if self._packed.eof and self._coding == "deflate" and self._packed.unused_data:
                    raise ApiError("BAD_REQUEST", "Something follows the deflate body. Nothing was done.")
                chunk = self._packed.unconsumed_tail or self._packed.unused_data
        except zlib.error as error:
            raise ApiError("BAD_REQUEST", f"The body is not {self._coding}: {error}. Nothing was done.") from None

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            raise too_large(self.limit, self.size, "decompressed at least ")
        self._chunks.append(data)

    def whole(self) -> bytes:
        """The decompressed body; BAD_REQUEST where it was cut short."""
        if self._packed is not None and not self._packed.eof:
            raise ApiError("BAD_REQUEST", f"The {self._coding} body ends too early. Nothing was done.")
        return b"".join(self._chunks)


def deflated(begin: bytes) -> int:
    """The wbits of a deflate body: RFC 9110 means zlib's format, and some senders send it bare."""
    return ZLIB if begin[0] & 0x0F == zlib.DEFLATED else BARE


def too_large(limit: int, sent: int, how: str = "") -> ApiError:
    """413 for bytes."""
    return ApiError(
        "PAYLOAD_TOO_LARGE",
        f"The limit is {limit} bytes, on the wire and decompressed; {how}{sent} were sent. "
        "Nothing was done: send less at a time.",
        limit=limit,
        sent=sent,
    )
