"""HTTP/1.1 on one connection as RFC 9112 says it, where Tornado 6.6 is narrower or answers less.

Beside Tornado's own: targets in absolute form, chunk extensions and trailers are read; what cannot be
read is answered with a problem document, a head that is too long with 431; `100 Continue` waits until
the handler has not refused; and an answer given before the body has come reaches its sender: the rest
is read and dropped, up to a bound, because closing with unread bytes would take the answer back.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import re
import socket
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from tornado import gen
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    parse_request_start_line,
)
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from server.kernel.errors import ApiError, problem
from server.kernel.ids import REQUEST_ID, uuid7

log = logging.getLogger("evenkeel.access")

HEAD_MAX = 32 * 1024  # bytes of a request line and its headers
FIRST_S = 15.0  # from the connection to the end of the first head
DRAIN_BYTES = 1024 * 1024 * 1024  # of a body that nobody wants
STRANGERS_DRAIN_BYTES = 32 * 1024 * 1024  # where a stranger has not said how long it is
DRAIN_S = 20.0
LINGER_S = 1.0  # for what was on its way when we could not read on
YIELD_BYTES = 256 * 1024  # of a body, between turns of the loop
CHUNK_LINE_MAX = 4 * 1024  # a chunk's size and its extensions
EXTENSIONS_MAX = 16 * 1024  # bytes a body: they are read and mean nothing here
TRAILERS_MAX = 16 * 1024

# To the empty line, or as far as a head may go: IOStream would close where `max_bytes` is passed.
HEAD = rb"(?s)\A(?:.{0,%d}?\r?\n\r?\n|.{%d})" % (HEAD_MAX - 4, HEAD_MAX)
LINE = rb"(?s)\A(?:[^\n]{0,%d}\n|.{%d})" % (CHUNK_LINE_MAX - 1, CHUNK_LINE_MAX)
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})((?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?)\r\n")
ABSOLUTE = re.compile(r"https?://([^/?#@]+)([/?][^#]*)?", re.IGNORECASE | re.ASCII)


def target_of(line: RequestStartLine, headers: HTTPHeaders) -> RequestStartLine:
    """The request line in origin form; of an absolute target the authority becomes the Host (RFC 9112, 3.2.2)."""
    if line.path.startswith("/") or (line.path == "*" and line.method == "OPTIONS"):
        return line
    absolute = ABSOLUTE.fullmatch(line.path)
    if absolute is None:
        raise HTTPInputError("The request target is neither a path nor an http address")
    if line.version != "HTTP/1.0" and "Host" not in headers:
        raise HTTPInputError("Missing Host header")
    headers["Host"] = absolute[1]
    rest = absolute[2] or "/"
    return line._replace(path=rest if rest.startswith("/") else f"/{rest}")


def chunk_size(line: bytes) -> tuple[int, int]:
    """The size of a chunk from its line, and how many bytes of extensions stand there."""
    if not line.endswith(b"\n"):
        raise HTTPInputError("The line of a chunk is too long")
    found = CHUNK.fullmatch(line)
    if found is None:
        raise HTTPInputError("The size of a chunk is not a hexadecimal number")
    return int(found[1], 16), len(found[2])


class Connection(HTTP1Connection):
    """One request on a connection, and its answer."""

    def __init__(
        self, stream: IOStream, params: HTTP1ConnectionParameters, context: object, place: ServerConnection
    ) -> None:
        super().__init__(stream, False, params, context)
        self.place = place
        self._dropped = 0  # bytes of the body that came after the answer
        self._answer_out = False  # the whole answer was written before the body had come
        self._drain: object | None = None  # the timer that ends the wait for such a body
        self._waits = True  # whether the rest of a body is waited for, once the answer is given

    def abandon(self) -> None:
        """The rest of the body is not waited for: close with the answer."""
        self._waits = False

    async def _read_message_inner(self, delegate: HTTPMessageDelegate, num_1xx: int = 0) -> bool:
        begun = False  # the delegate knows of the request, and not yet of its end
        try:
            head = await self._head()
            if head is None:
                return False
            line, headers = head
            begun = True
            await self._headers_received(delegate, line, headers)
            if await self._whole_body(delegate, headers):
                begun = False
            if not self._finish_future.done() and not self.stream.closed():
                self.stream.set_close_callback(self._on_connection_close)
                await self._finish_future
        except HTTPInputError as error:
            await self._refuse(ApiError("BAD_REQUEST", f"The request cannot be read: {error}."))
            return False
        except UnsatisfiableReadError:  # the stream has closed itself
            return False
        finally:
            if begun:
                delegate.on_connection_close()
            if self._drain is not None:
                self.stream.io_loop.remove_timeout(self._drain)
            self._clear_callbacks()
        return not self.stream.closed()

    async def _head(self) -> tuple[RequestStartLine, HTTPHeaders] | None:
        """The next request line and its headers; None where they did not come in time, or are too long."""
        coming = self.stream.read_until_regex(HEAD, max_bytes=HEAD_MAX)
        assert self.params.header_timeout is not None
        deadline = self.stream.io_loop.time() + self.params.header_timeout
        try:
            data = await gen.with_timeout(deadline, coming, quiet_exceptions=StreamClosedError)
        except TimeoutError:
            self.close()
            return None
        if not data.endswith((b"\n\r\n", b"\n\n")):
            detail = f"The request line and its headers may have {HEAD_MAX} bytes; more were sent. Nothing was done."
            await self._refuse(ApiError("HEADERS_TOO_LARGE", detail, limit=HEAD_MAX))
            return None
        text, headers = self._parse_headers(data)
        self._request_headers = headers
        line = target_of(parse_request_start_line(text), headers)
        if line.version == "HTTP/1.0" and "Transfer-Encoding" in headers:
            raise HTTPInputError("HTTP/1.0 has no Transfer-Encoding")
        self._request_start_line = line
        self._disconnect_on_finish = not self._can_keep_alive(line, headers)
        return line, headers

    async def _headers_received(
        self, delegate: HTTPMessageDelegate, line: RequestStartLine, headers: HTTPHeaders
    ) -> None:
        """Let the handler decide by the headers; only then ask a sender that waits for its body."""
        ready = delegate.headers_received(line, headers)
        if ready is not None:
            await ready
        if headers.get("Expect", "").lower() == "100-continue" and line.version != "HTTP/1.0":
            if self._response_start_line is None:
                await self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            else:
                self.abandon()  # it was refused, and the body will not come

    async def _whole_body(self, delegate: HTTPMessageDelegate, headers: HTTPHeaders) -> bool:
        """Read the body; whether the handler was told of its end, which is once and not after its answer."""
        if self._write_finished and not self._waits:
            self._disconnect_on_finish = True
        else:
            body = self._read_body(0, headers, delegate)
            if body is not None:
                await body
        self._read_finished = True
        if self._write_finished:
            if self._answer_out:
                self._finish_request(None)
            return False
        self.place.works()
        delegate.finish()
        return True

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> asyncio.Future[None]:
        if headers.get("Connection", "").lower() == "close" or ("Expect" in self._asked and not self._read_finished):
            self._disconnect_on_finish = True
        return super().write_headers(start_line, headers, chunk)

    @property
    def _asked(self) -> HTTPHeaders:
        return self._request_headers or HTTPHeaders()

    def finish(self) -> None:
        close = self._disconnect_on_finish
        unread = not self._read_finished
        super().finish()  # which closes at once what is still being read
        if unread and not self.stream.closed():
            self._disconnect_on_finish = close
            self.place.waits()
            self._drain = self.stream.io_loop.call_later(DRAIN_S, self.close)

    def _finish_request(self, future: asyncio.Future[None] | None) -> None:
        if not self._read_finished and not self.stream.closed():
            if self._waits:
                self._answer_out = True  # goes on in `_whole_body`
                return
            self._disconnect_on_finish = True
        super()._finish_request(future)

    async def _deliver_body(self, delegate: HTTPMessageDelegate, data: bytes) -> None:
        if not self._write_finished:
            received = delegate.data_received(data)
            if received is not None:
                await received
            return
        self._dropped += len(data)
        said = self.place.known or "Content-Length" in self._asked
        if self._dropped > (DRAIN_BYTES if said else STRANGERS_DRAIN_BYTES):
            self.close()

    def _can_keep_alive(self, start_line: Any, headers: HTTPHeaders) -> bool:
        options = [option.strip().lower() for option in headers.get("Connection", "").split(",")]
        return "close" not in options if start_line.version == "HTTP/1.1" else "keep-alive" in options

    async def _read_fixed_body(self, content_length: int, delegate: HTTPMessageDelegate) -> None:
        handed_on = 0
        while handed_on < content_length:
            before = handed_on // YIELD_BYTES
            handed_on += await self._hand_on_some(content_length - handed_on, delegate)
            if handed_on // YIELD_BYTES > before:
                await asyncio.sleep(0)

    async def _hand_on_some(self, most: int, delegate: HTTPMessageDelegate) -> int:
        """What has come of a body. By itself, so that while we wait for more nobody holds what was handed on."""
        data = await self.stream.read_bytes(min(self.params.chunk_size, most), partial=True)
        await self._deliver_body(delegate, data)
        return len(data)

    async def _read_chunked_body(self, delegate: HTTPMessageDelegate) -> None:
        pending = bytearray()  # small chunks are handed on together, and before we wait for more
        extensions = size = 0

        async def read(coming: Awaitable[bytes]) -> bytes:
            if pending and not (isinstance(coming, asyncio.Future) and coming.done()):
                await hand_on()
            return await coming

        async def hand_on() -> None:
            data = bytes(pending)
            pending.clear()
            await self._deliver_body(delegate, data)

        while True:
            line = await read(self.stream.read_until_regex(LINE, max_bytes=CHUNK_LINE_MAX))
            left, extension = chunk_size(line)
            extensions, size = extensions + extension, size + left
            if extensions > EXTENSIONS_MAX:
                raise HTTPInputError("The chunks have too many extensions")
            if size > self._max_body_size:
                raise HTTPInputError("The chunked body is too large")
            if left == 0:
                break
            while left:
                data = await read(self.stream.read_bytes(min(left, self.params.chunk_size), partial=True))
                left -= len(data)
                pending += data
                del data  # not to be held while we wait for more
                if len(pending) >= self.params.chunk_size:
                    await hand_on()
                    await asyncio.sleep(0)
            if await read(self.stream.read_bytes(2)) != b"\r\n":
                raise HTTPInputError("A chunk is not as long as it says")
        await self._read_trailers(read)
        if pending:
            await hand_on()

    async def _read_trailers(self, read: Any) -> None:
        """What may follow the last chunk; it is read and means nothing here."""
        trailers, size = HTTPHeaders(), 0
        while (line := await read(self.stream.read_until_regex(LINE, max_bytes=CHUNK_LINE_MAX))) != b"\r\n":
            size += len(line)
            if size > TRAILERS_MAX or not line.endswith(b"\r\n") or line[:1] in b" \t":
                raise HTTPInputError("What follows the last chunk is not headers")
            trailers.parse_line(line.decode("latin1"))

    async def _refuse(self, error: ApiError) -> None:
        """Answer what cannot be read, and close once its sender has had time to hear it."""
        line = self._request_start_line
        if self._response_start_line is None:
            log.info("%s %d", "a request that cannot be read", error.status, extra={"fields": {"reason": error.detail}})
            path = line.path.partition("?")[0] if line else ""
            with contextlib.suppress(StreamClosedError):
                await self.stream.write(refusal(error, self._asked.get("X-Request-Id", ""), path))
            with contextlib.suppress(StreamClosedError, OSError, TimeoutError):
                self.stream.socket.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(LINGER_S):
                    while self._dropped < HEAD_MAX * 32:
                        self._dropped += len(await self.stream.read_bytes(self.params.chunk_size, partial=True))
        self.close()


def refusal(error: ApiError, asked_id: str, path: str) -> bytes:
    """A whole answer to a request that no handler has seen."""
    request_id = asked_id if REQUEST_ID.fullmatch(asked_id) else uuid7()
    body = msgspec.json.encode(problem(error, request_id, path))
    lines = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        f"Date: {email.utils.formatdate(usegmt=True)}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-Id: {request_id}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


class Places(Protocol):
    """Who keeps count of the connections: see server/http/doors.py."""

    def waits(self, connection: ServerConnection) -> None:
        """The other side has to send something."""

    def works(self, connection: ServerConnection) -> None:
        """We have to answer."""

    def knows(self, connection: ServerConnection) -> None:
        """Who asks on it is known."""


class ServerConnection(HTTP1ServerConnection):
    """A connection and the requests on it, one after the other."""

    known = False  # somebody whose key or session we know has asked on it
    reserve = False  # it was let in beyond the usual number, for health and pages alone

    def __init__(
        self,
        stream: IOStream,
        params: HTTP1ConnectionParameters,
        context: object,
        doors: Places,
        first: HTTP1ConnectionParameters,
    ) -> None:
        super().__init__(stream, params, context)
        self.doors = doors
        self._first = first  # for the first request

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        params = self._first
        try:
            while True:
                self.waits()
                connection = Connection(self.stream, params, self.context, self)
                if not await connection.read_response(delegate.start_request(self, connection)):
                    return
                params = self.params
                await asyncio.sleep(0)
        except (StreamClosedError, asyncio.CancelledError):
            return
        except Exception:
            log.exception("a connection ended by an error of ours")
            self.stream.close()
        finally:
            delegate.on_close(self)

    def close_now(self) -> None:
        """Whatever is being done on it."""
        self.stream.close()

    def waits(self) -> None:
        """From here on the other side has to send something."""
        self.doors.waits(self)

    def works(self) -> None:
        """From here on we have to answer."""
        self.doors.works(self)

    def knows(self) -> None:
        """Who asks is known."""
        if not self.known:
            self.known = True
            self.doors.knows(self)
