"""The hot address answered without Tornado, on connections of its own; whatever is not plain goes to Tornado.

A connection begins here. Each plain request for the hot address (server/http/lean_request.py) whose sender may send
it is answered here, by the same rules as there. The first that is anything else, a body that is late, and an
answer that its receiver does not take: the socket then is Tornado's, with every byte that was read of it, and stays so.
So nothing is refused here for how it is sent, and what guards bodies, heads and times is in one place.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import socket
import time
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple, Protocol

from server.auth.authenticator import bearer
from server.auth.proxies import believed
from server.http.answered import Answered, record
from server.http.connection import HEAD_MAX
from server.http.failures import as_api_error, problem_answer
from server.http.handler import ALWAYS, OF_API, TLS_ONLY
from server.http.lean_request import LeanRequest, Reader
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.parts import Parts
from server.telemetry.log_line import in_request

log = logging.getLogger("evenkeel.lean")

READ = 32 * 1024  # bytes at once
AHEAD_MAX = HEAD_MAX  # bytes read of what follows a request that is being answered
BODY_S = 0.5  # for the rest of a body; then Tornado waits for it

FIXED = "".join(f"{name}: {value}\r\n" for name, value in (ALWAYS | OF_API | {"Vary": "Accept-Encoding"}).items())


class LeanAnswer(NamedTuple):
    """An answer, and what is recorded of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    stored: int | None = None
    code: str = ""
    said: str = ""
    taken: int = 0  # items of what was refused


class Hot(Protocol):
    """The hot address, for plain requests."""

    route: str
    receiver: str
    method: str
    scope: str
    targets: Mapping[str, bool]

    def body_limit(self, key_id: int) -> int:
        """Bytes, on the wire and decompressed."""

    async def answer(self, request: LeanRequest) -> LeanAnswer:
        """Do what is asked; what is refused too."""


class Lean:
    """The hot address of one process."""

    def __init__(self, parts: Parts, hot: Hot) -> None:
        self.parts = parts
        self.hot = hot
        self.reader = Reader(hot.method, hot.targets)

    @property
    def open(self) -> bool:
        """Whether it answers; else Tornado says why not."""
        return self.parts.started and not self.parts.stopping

    async def answer(self, request: LeanRequest, data: bytes, peer: str) -> LeanAnswer | None:
        """The answer to a request that data begins with; None where Tornado is to answer, and nothing was done."""
        if not await self._admit(request, data):
            return None
        self._believe(request, peer)
        in_request(request.request_id)
        size = len(request.body)
        try:
            self.parts.bodies.take(size, stranger=False)
        except ApiError:
            return None
        self.parts.in_flight.add(request)
        try:
            return await self.hot.answer(request)
        finally:
            self.parts.bodies.give(size, stranger=False)

    async def _admit(self, request: LeanRequest, data: bytes) -> bool:
        """Whether the sender is known and may send this much."""
        try:
            identity = await self.parts.auth.keys.find(bearer(request.headers.get("authorization", "")))
        except ApiError:
            return False
        if identity is None or self.hot.scope not in identity.scopes:
            return False
        request.identity = identity
        return request.unpack(data, self.hot.body_limit(identity.key_id))

    def _believe(self, request: LeanRequest, peer: str) -> None:
        env, scheme = self.parts.env, "http"
        request.address = peer
        if env.trusted_proxies:
            for_, proto = (request.headers.get(f"x-forwarded-{name}", "") for name in ("for", "proto"))
            request.address, scheme = believed(peer, scheme, for_, proto, env.trusted_proxies)
        request.tls = scheme == "https" or env.public_url.startswith("https://")

    def ended(self, request: LeanRequest, answer: LeanAnswer) -> None:
        """It was answered, or its sender has gone."""
        self.parts.in_flight.discard(request)
        record(
            self.parts,
            Answered(
                route=self.hot.route,
                method=self.hot.method,
                path=self.hot.route,
                status=answer.status,
                code=answer.code,
                seconds=time.perf_counter() - request.started,
                request_id=request.request_id,
                who=request.identity.name,
                address=request.address,
                stored=answer.stored,
                receiver=self.hot.receiver,
                key_id=request.identity.key_id,
                size=request.wire,
                said=answer.said,
                taken=answer.taken,
            ),
        )


def foreseen(error: Exception) -> ApiError:
    """An error as what is answered; one that nobody has foreseen is logged."""
    if not isinstance(error, ApiError):
        log.error("a request ended by an error of ours", exc_info=error)
    return as_api_error(error, 500)


def refusal(error: ApiError, request: LeanRequest, path: str, headers: dict[str, str]) -> LeanAnswer:
    """An error as an answer, with headers of its own."""
    said, body = problem_answer(error, request.request_id, path)
    return LeanAnswer(error.status, said | headers, body, code=error.code, said=error.detail)


@lru_cache(maxsize=4)
def date(second: int) -> str:
    """Unix seconds for the header Date."""
    return email.utils.formatdate(second, usegmt=True)


@lru_cache(maxsize=64)
def status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


def written(answer: LeanAnswer, request: LeanRequest, *, close: bool) -> bytes:
    """An answer as bytes."""
    own = "".join([f"{name}: {value}\r\n" for name, value in answer.headers.items()])
    if request.tls:
        own += f"Strict-Transport-Security: {TLS_ONLY}\r\n"
    if close:
        own += "Connection: close\r\n"
    head = (
        f"{status_line(answer.status)}Date: {date(int(shared_clock.machine()))}\r\n{FIXED}{own}"
        f"X-Request-Id: {request.request_id}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
    )
    return head.encode() + answer.body


class LeanPlaces(Protocol):
    """Who keeps count of the connections: see server/http/doors.py."""

    first_s: float  # for the first head
    idle_s: float  # for each that follows

    def waits(self, connection: LeanConnection) -> None:
        """The other side has to send something."""

    def works(self, connection: LeanConnection) -> None:
        """We have to answer."""

    def left(self, connection: LeanConnection) -> None:
        """It is closed."""

    def take_over(self, connection: LeanConnection, sock: socket.socket, read: bytes, unsent: bytes) -> None:
        """Tornado goes on with its socket."""


class LeanConnection:
    """A connection on which nothing but plain requests for the hot address has come so far."""

    known = False  # somebody whose key we know has asked on it

    def __init__(self, sock: socket.socket, address: tuple[str, int], places: LeanPlaces, lean: Lean) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address = address
        self.places = places
        self.lean = lean
        self._sock: socket.socket | None = sock
        self._loop = asyncio.get_running_loop()
        self._read = b""
        self._asked: LeanRequest | None = None  # its head has come
        self._answering: asyncio.Task[None] | None = None
        self._ended = False  # the other side sends no more
        self._reads = False
        self._rest: asyncio.TimerHandle | None = None  # ends the wait for the rest of a body
        self.until = self._loop.time() + places.first_s  # for the head that comes next
        self._timer = self._loop.call_at(self.until, self._look_at_time)
        places.waits(self)
        self._listen()

    def _look_at_time(self) -> None:
        """Close what has said nothing for too long. Not a timer a request: those cost more than to look too often."""
        now = self._loop.time()
        if self._answering is None and now >= self.until:
            self.close_now()
        else:
            self._timer = self._loop.call_at(max(self.until, now + 1), self._look_at_time)

    def _listen(self) -> None:
        if self._sock is not None and not self._reads and not self._ended:
            self._reads = True
            self._loop.add_reader(self._sock.fileno(), self._ready)

    def _pause(self) -> None:
        if self._sock is not None and self._reads:
            self._reads = False
            self._loop.remove_reader(self._sock.fileno())

    def _ready(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._read = self._read + data if self._read else data
        self._ended = not data
        if self._answering is None:
            self._look()
        elif self._ended or len(self._read) > AHEAD_MAX:
            self._pause()

    def _look(self) -> None:
        """What has come: begin to answer it, wait for its body, or leave it to Tornado."""
        if self._asked is None and self._read and self.lean.open:
            self._asked = self.lean.reader.read(self._read)
        if self._asked is not None and len(self._read) >= self._asked.size:
            self._begin(self._asked)
        elif self._ended:
            self.close_now()
        elif self._asked is None:
            self._hand_over()
        elif self._rest is None:
            self._rest = self._loop.call_later(BODY_S, self._hand_over)

    def _begin(self, request: LeanRequest) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        self.places.works(self)
        self._answering = self._loop.create_task(self._answer(request))

    async def _answer(self, request: LeanRequest) -> None:
        try:
            answer = await self.lean.answer(request, self._read, self.address[0])
        except Exception:
            log.exception("a connection ended by an error of ours")
            self.lean.parts.in_flight.discard(request)
            self.close_now()
            return
        self._answering = self._asked = None
        if answer is None:
            self._hand_over()
            return
        self.known = True
        close = request.closes or self.lean.parts.stopping
        self._read = self._read[request.size :]
        unsent = self._send(written(answer, request, close=close))
        self.lean.ended(request, answer)
        self._go_on(unsent, close=close)

    def _send(self, data: bytes) -> bytes:
        """Send; what the other side did not take."""
        if self._sock is None:
            return b""
        try:
            return data[self._sock.send(data) :]
        except (BlockingIOError, InterruptedError):
            return data
        except OSError:
            self.close_now()
            return b""

    def _go_on(self, unsent: bytes, *, close: bool) -> None:
        if self._sock is None:  # it was cut meanwhile, and is counted no more
            return
        self.until = self._loop.time() + self.places.idle_s
        if unsent:
            self._hand_over(unsent)
        elif close:
            self.close_now()
        else:
            self.places.waits(self)
            self._listen()
            if self._read or self._ended:
                self._look()

    def _hand_over(self, unsent: bytes = b"") -> None:
        sock = self._let_go()
        if sock is not None:
            self.places.take_over(self, sock, self._read, unsent)

    def _let_go(self) -> socket.socket | None:
        self._pause()
        self._timer.cancel()
        if self._rest is not None:
            self._rest.cancel()
        sock, self._sock = self._sock, None
        return sock

    def close_now(self) -> None:
        """What is still being answered is recorded, and sent to nobody."""
        sock = self._let_go()
        if sock is not None:
            self.places.left(self)
            sock.close()

    async def close(self) -> None:
        """As `close_now`: the server of Tornado calls it."""
        self.close_now()
