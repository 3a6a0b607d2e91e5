"""How a body is read: every refusal reaches its sender, within bounded memory.

A connection that is closed with unread bytes loses the answer (TRAPS: 413). So a
refusal waits until the body has been read, and that of a body over the limit is
sent at once while the rest is read and dropped, up to a bound. What is taken is counted
on the wire and decompressed, and never more than the limit is in memory.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from abc import ABC, abstractmethod
from typing import Literal

from tornado.web import stream_request_body

from server.http.handler import ApiHandler, as_api_error
from server.kernel.errors import ApiError

DRAIN_BYTES = 1024 * 1024 * 1024
DRAIN_S = 20.0
BODY_S = 30.0
RECEIVING_MAX = 64 * 1024 * 1024  # bytes, decompressed, over all connections of a process
LENGTH_MAX = 2**63 - 1  # in answers; the header may have thousands of digits
Coding = Literal["identity", "gzip"]
CODINGS: dict[str, Coding] = {"": "identity", "identity": "identity", "gzip": "gzip", "x-gzip": "gzip"}

GZIP = 31  # zlib's wbits for a gzip header


@stream_request_body
class UploadHandler(ApiHandler, ABC):
    """The base of a handler whose bodies are counted and decompressed as they arrive."""

    upload: UploadBody | None = None
    refusal: ApiError | None = None
    answered = False  # the refusal is on the wire; the rest of the body is dropped
    received = 0  # bytes of the body, on the wire
    reserved = 0  # bytes in memory, decompressed
    timer: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:
        """Of a POST, raises nothing: a refusal is kept until it can be heard."""
        if self.request.method != "POST":
            await super().prepare()
            return
        self.count_by_ourselves()
        try:
            await super().prepare()
        except Exception as error:
            self.refusal = as_api_error(error, getattr(error, "status_code", 500))
        self.timer = asyncio.get_running_loop().call_later(BODY_S, self.too_slow)
        limit = self.body_limit()
        length = declared(self.request.headers.get("Content-Length", ""))
        if length > limit:
            self.refuse_now(too_large(limit, length))
        elif self.refusal is None:
            self.begin(limit)

    def count_by_ourselves(self) -> None:
        """The server's own limits would close the connection without an answer."""
        self.request.connection.set_max_body_size(math.inf)  # type: ignore[union-attr]
        self.request.connection.set_body_timeout(None)  # type: ignore[union-attr]

    @abstractmethod
    def body_limit(self) -> int:
        """Bytes, for this sender."""

    def begin(self, limit: int) -> None:
        coding = CODINGS.get(self.request.headers.get("Content-Encoding", "").strip().lower())
        if coding is None:
            self.refusal = ApiError(
                "UNSUPPORTED_MEDIA_TYPE", "Send the body as it is or with Content-Encoding: gzip. Nothing was stored."
            )
        else:
            self.upload = UploadBody(limit, coding)

    def data_received(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self._finished:
            return
        if self.upload is None or self.refusal is not None:
            self.drop()
            return
        try:
            self.upload.feed(chunk)
            self.reserve(self.upload.size - self.reserved)
        except ApiError as error:
            self.discard()
            if error.code == "PAYLOAD_TOO_LARGE":
                self.refuse_now(error)
            else:
                self.refusal = error

    def reserve(self, size: int) -> None:
        """Room for more of a body; ApiError QUEUE_FULL where too much is being read already."""
        intake = self.parts.intake
        if intake.receiving + size > RECEIVING_MAX:
            raise ApiError(
                "QUEUE_FULL", "Too many bodies are being read. Nothing was stored: send it again.", retry_after=1
            )
        intake.receiving += size
        self.reserved += size

    def discard(self) -> None:
        """Forget what was read of the body."""
        self.parts.intake.receiving -= self.reserved
        self.reserved = 0
        self.upload = None

    def drop(self) -> None:
        """Part of a body that nobody wants."""
        if self.refusal is not None and not self.answered and self.received > self.body_limit():
            self.refuse_now(self.refusal)
        elif self.received > DRAIN_BYTES:
            self.end()

    @abstractmethod
    def count_refusal(self, error: ApiError) -> None:
        """Called once for a request that is refused."""

    def refuse_now(self, error: ApiError) -> None:
        """Answer at once; what is still coming is read and dropped, then the connection closes."""
        self.refusal = error
        self.answered = True
        self.count_refusal(error)
        self.request.headers.pop("Expect", None)  # a final answer instead of 100 Continue
        body = self.tell(error)
        self.set_header("Content-Length", str(len(body)))
        self.set_header("Connection", "close")
        self.write(body)
        self.flush()
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(DRAIN_S, self.end)

    def too_slow(self) -> None:
        """The body has not arrived in time."""
        self.timer = None
        if not self.answered:
            late = ApiError("REQUEST_TIMEOUT", f"The body did not arrive within {BODY_S:g} s. Nothing was stored.")
            self.refuse_now(self.refusal or late)
        self.end()

    def end(self) -> None:
        """Close, whatever is still coming."""
        if not self._finished:
            self.finish()

    def body_or_refusal(self) -> bytes:
        """The whole body, decompressed; raises the refusal."""
        if self.timer is not None:
            self.timer.cancel()
        if self.refusal is not None:
            raise self.refusal
        assert self.upload is not None
        body = self.upload.whole()
        self.discard()
        return body

    def on_finish(self) -> None:
        self.let_go()
        super().on_finish()

    def on_connection_close(self) -> None:
        self.let_go()
        super().on_connection_close()
        if self.answered:
            self.end()  # recorded like any other request

    def let_go(self) -> None:
        """Nothing more will be read."""
        self.discard()
        if self.timer is not None:
            self.timer.cancel()


def declared(length: str) -> int:
    """A Content-Length as a number, at most LENGTH_MAX; 0 where it is none, which Tornado refuses."""
    return min(int(length.lstrip("0")[:20] or 0), LENGTH_MAX) if length.isdecimal() else 0


class UploadBody:
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
