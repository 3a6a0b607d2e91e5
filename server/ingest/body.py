"""A request's body as it arrives: counted on the wire and decompressed, never more than the limit in memory."""

from __future__ import annotations

import zlib
from typing import Literal

from server.kernel.errors import ApiError

Coding = Literal["identity", "gzip"]

GZIP = 31  # zlib's wbits for a gzip header


class Body:
    """Collects a body of at most `limit` bytes; `feed` raises ApiError at the byte that is too many."""

    def __init__(self, limit: int, coding: Coding) -> None:
        self.limit = limit
        self.received = 0  # on the wire
        self.size = 0  # decompressed, in memory
        self._chunks: list[bytes] = []
        self._gzip = zlib.decompressobj(GZIP) if coding == "gzip" else None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; PAYLOAD_TOO_LARGE, or BAD_REQUEST where they are not gzip."""
        self.received += len(chunk)
        if self.received > self.limit:
            raise too_large(self.limit, self.received, "at least ")
        if self._gzip is None:
            self._keep(chunk)
        else:
            self._decompress(chunk)

    def _decompress(self, chunk: bytes) -> None:
        assert self._gzip is not None
        try:
            while chunk:
                if self._gzip.eof:  # another member follows
                    self._gzip = zlib.decompressobj(GZIP)
                self._keep(self._gzip.decompress(chunk, self.limit + 1 - self.size))
                chunk = self._gzip.unconsumed_tail or self._gzip.unused_data
        except zlib.error as error:
            raise ApiError("BAD_REQUEST", f"The body is not gzip: {error}. Nothing was stored.") from None

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            raise too_large(self.limit, self.size, "decompressed at least ")
        self._chunks.append(data)

    def whole(self) -> bytes:
        """The decompressed body; BAD_REQUEST where it was cut short."""
        if self._gzip is not None and not self._gzip.eof:
            raise ApiError("BAD_REQUEST", "The gzip body ends too early. Nothing was stored.")
        return b"".join(self._chunks)


def too_large(limit: int, sent: int, how: str = "") -> ApiError:
    """413 for bytes."""
    return ApiError(
        "PAYLOAD_TOO_LARGE",
        f"The limit is {limit} bytes, on the wire and decompressed; {how}{sent} were sent. "
        "Nothing was stored: send smaller batches.",
        limit=limit,
        sent=sent,
    )
