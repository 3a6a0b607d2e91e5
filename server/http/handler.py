"""What every API handler shares: request id, who calls, the body, JSON in and out, problems."""

from __future__ import annotations

import asyncio
import math
import time
from http import HTTPStatus
from typing import Any, TypeVar, cast

import msgspec
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from server.auth.identity import Identity, bound_to
from server.auth.proxies import believe, cookie_name, over_tls
from server.auth.tokens import is_own_check
from server.http.answered import Answered, record
from server.http.body import BODY_MAX, BODY_S, CODINGS, LENGTH_MAX, Coding, Room, UploadBody, declared, too_large
from server.http.connection import Connection
from server.http.failures import as_api_error, problem_answer
from server.http.operation import Operation
from server.kernel.errors import ApiError, invalid
from server.kernel.field_fault import field_and_reason
from server.kernel.ids import REQUEST_ID, uuid7
from server.kernel.names import OWN_CHECK
from server.parts import Parts
from server.telemetry.log_line import in_request

T = TypeVar("T")

TLS_ONLY = f"max-age={365 * 24 * 3600}"  # so long a browser that came over TLS keeps to it
# What bytes can make a decoder raise: a fault of the body's, never ours.
BROKEN = (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError)
# What every answer carries, and what every answer of the API does.
ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
OF_API = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}


METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


@stream_request_body
class Handler(RequestHandler):
    """The base of API handlers and pages: the request id, the parts, the body, one log line a request.

    `prepare` decides by the headers alone who may send: `admit` raises what is refused, and then nothing of
    the body is kept. When all of it is there, `take` reads it, and the method begins.
    """

    codings: tuple[Coding, ...] = ("identity",)  # of bodies
    upload: UploadBody | None = None  # the body, as far as it has come
    received = 0  # bytes of it, on the wire
    reserved = 0  # bytes of it in memory
    timer: asyncio.TimerHandle | None = None
    stranger = True  # nobody we know sends the body
    identity: Identity | None = None
    request_id = ""  # set by `initialize`
    stored: int | None = None  # outcomes that this request stored; None: it is not for storing any
    code = ""  # of the problem document that was answered
    why = ""  # it was refused
    taken = 0  # items that came in, where they are not outcomes that were stored
    receiver = ""  # the name of the receiver that this address is; empty: it is none (server/ingest/received.py)
    receives = "POST"  # the method by which something comes in
    closing = False  # the connection ends with this answer
    first = True  # ingest rests while this is answered
    counted = True  # False: health, metrics, static, streams: not part of the service `evenkeel`

    def initialize(self, parts: Parts, route: str = "") -> None:
        self.parts = parts
        self.route = route  # what the request is counted under
        self.started = time.perf_counter()
        believe(self.request, parts.env.trusted_proxies)
        inbound = self.request.headers.get("X-Request-Id", "")
        self.request_id = inbound if REQUEST_ID.fullmatch(inbound) else uuid7()
        in_request(self.request_id)
        parts.in_flight.add(self)
        self.stamp()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        failure = kwargs.get("exc_info", (None, None, None))[1]
        self.finish(self.tell(as_api_error(failure, status_code)))

    def tell(self, error: ApiError) -> bytes:
        """Set status and headers for an error; the body that belongs to them."""
        headers, body = problem_answer(error, self.request_id, self.request.path)
        for name, value in headers.items():
            self.set_header(name, value)
        if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", self.allowed())
        self.code, self.why = error.code, error.detail
        self.set_status(error.status)
        return body

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, ApiError | HTTPError):
            super().log_exception(typ, value, tb)

    def stamp(self) -> None:
        """The headers that every answer of this request carries."""
        self.set_header("X-Request-Id", self.request_id)
        if self.over_tls:
            self.set_header("Strict-Transport-Security", TLS_ONLY)
        if self.parts.stopping or self.closing:
            self.set_header("Connection", "close")

    @property
    def over_tls(self) -> bool:
        """Whether people reach us over TLS: by PUBLIC_URL, or as a trusted proxy says of this request."""
        return over_tls(self.request, self.parts.env.public_url)

    def own_cookie(self, name: str) -> str:
        """The name of a cookie of ours on this way to us."""
        return cookie_name(name, self.request, self.parts.env.public_url)

    @property
    def routine(self) -> bool:
        """Whether a router or one of our own checks asks, again and again: its log line would drown the rest."""
        mark = self.request.headers.get(OWN_CHECK, "")
        return self.request.path.startswith("/health/") or is_own_check(mark, self.parts.env.secret_key)

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **given: Any) -> None:
        """Every cookie of ours, the form token too, is Secure over TLS."""
        super().set_cookie(name, value, *args, **given | {"secure": self.over_tls})

    def clear(self) -> None:
        """Tornado calls this for an error too, which begins with empty headers."""
        super().clear()
        if self.request_id:
            self.stamp()

    def set_default_headers(self) -> None:
        for name, value in ALWAYS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    async def prepare(self) -> None:
        """Who calls and whether they may, then room for the body, where one comes."""
        self.connection.set_max_body_size(LENGTH_MAX)  # we count
        sent = declared(self.request.headers.get("Content-Length", ""))
        try:
            if not self.takes(self.request.method or ""):
                raise HTTPError(405)
            await self.admit()
        except (ApiError, HTTPError):
            if sent <= self.body_limit():
                raise
        if sent > self.body_limit():
            self.closing = True
            raise too_large(self.body_limit(), sent)
        self.stranger = self.identity is None
        if not self.stranger:
            self.connection.place.knows()
        if not self._finished and (sent or "Transfer-Encoding" in self.request.headers):
            self.upload = UploadBody(self.body_limit(), self.coding())
            self.timer = asyncio.get_running_loop().call_later(BODY_S, self.too_slow)

    @property
    def connection(self) -> Connection:
        return cast(Connection, self.request.connection)

    def coding(self) -> Coding:
        """How the body is packed; ApiError UNSUPPORTED_MEDIA_TYPE for one that this address does not read."""
        coding = CODINGS.get(self.request.headers.get("Content-Encoding", "").strip().lower())
        if coding is None or coding not in self.codings:
            packed = [coding for coding in self.codings if coding != "identity"]
            named = f" or with Content-Encoding: {' or '.join(packed)}" if packed else ""
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", f"Send the body as it is{named}. Nothing was done.")
        return coding

    @classmethod
    def takes(cls, method: str) -> bool:
        """Whether there is such a method here: what is looked at with GET answers HEAD too."""
        name = "get" if method == "HEAD" else method.lower()
        return name in METHODS and getattr(cls, name) is not getattr(RequestHandler, name)

    @classmethod
    def allowed(cls) -> str:
        """The methods of this address, for Allow."""
        return ", ".join(method.upper() for method in METHODS if cls.takes(method.upper()))

    async def head(self, *args: Any, **kwargs: Any) -> None:
        """As GET; Tornado leaves out the body."""
        await self.get(*args, **kwargs)  # type: ignore[misc]

    async def admit(self) -> None:
        """Decide by the headers who calls and whether they may; raises the refusal. By default strangers may."""

    def body_limit(self) -> int:
        """Bytes, for this sender, on the wire and decompressed."""
        return BODY_MAX

    @property
    def room(self) -> Room:
        """Where bodies of this address find room."""
        return self.parts.bodies

    def data_received(self, chunk: bytes) -> None:
        if self.upload is None:  # answered already
            return
        self.received += len(chunk)
        try:
            self.upload.feed(chunk)
            more = self.upload.size - self.reserved
            self.room.take(more, stranger=self.stranger)
            self.reserved += more
        except ApiError as error:
            self.refuse(error)

    def refuse(self, error: ApiError) -> None:
        """Answer before the body has come; what still comes is dropped (see server/http/connection.py)."""
        self.let_go()
        if error.code == "PAYLOAD_TOO_LARGE":
            self.closing = True
        self.send_error(error.status, exc_info=(type(error), error, None))

    def too_slow(self) -> None:
        """The body has not arrived in time."""
        self.timer = None
        self.connection.abandon()
        self.refuse(ApiError("REQUEST_TIMEOUT", f"The body did not arrive within {BODY_S:g} s. Nothing was done."))

    def arrived(self) -> None:
        """The whole body is there: the method begins, or what is wrong with the body is told."""
        if self.timer is not None:
            self.timer.cancel()
        try:
            if self.upload is not None:
                self.request.body = self.upload.whole()
                self.upload = None
            self.take()
        except Exception as error:
            self.request._body_future.set_exception(error)
        else:
            self.request._body_future.set_result(None)

    def take(self) -> None:
        """Look at the whole body before the method begins; raises what is wrong."""

    def let_go(self) -> None:
        """Forget the body."""
        self.room.give(self.reserved, stranger=self.stranger)
        self.reserved, self.upload = 0, None
        if self.timer is not None:
            self.timer.cancel()

    def ended(self) -> None:
        """Answered, or given up: nothing more will be read, and no method waits for it."""
        self.parts.in_flight.discard(self)
        self.let_go()
        coming = self.request._body_future
        if not coming.done():
            coming.set_exception(StreamClosedError())
            coming.exception()  # nobody needs to have waited

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.ended()

    def on_finish(self) -> None:
        self.ended()
        answered = Answered(
            route=self.route or type(self).__name__,
            method=self.request.method or "",
            path=self.request.path,
            status=self.get_status(),
            code=self.code,
            seconds=time.perf_counter() - self.started,
            request_id=self.request_id,
            who=self.identity.name if self.identity else "",
            address=self.request.remote_ip or "",
            stored=self.stored,
            receiver=self.receiver if self.request.method == self.receives else "",
            taken=self.taken,
            key_id=self.identity.key_id if self.identity else 0,
            size=self.received,
            said=self.why,
        )
        record(self.parts, answered, counted=self.counted, routine=self.routine)


class ApiHandler(Handler):
    """The base of API handlers. Methods carry `@operation`, which this class enforces."""

    operation: Operation | None = None
    other_media: tuple[str, ...] = ()  # the content types that it answers where the caller prefers them
    basic = False  # whether a key may come as user or password of HTTP Basic

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in OF_API.items():
            self.set_header(name, value)

    async def admit(self) -> None:
        method = (self.request.method or "GET").lower()
        self.operation = getattr(getattr(self, "get" if method == "head" else method), "operation", None)
        if self.operation is not None and self.operation.scope is not None:
            await self.authorise(self.operation)

    async def authorise(self, operation: Operation) -> None:
        """The key's or, for GET, the session's identity; ApiError 401 or 403."""
        reads = self.request.method in ("GET", "HEAD")
        self.identity = await self.parts.auth.identify(self, allow_session=reads, allow_basic=self.basic)
        if self.identity is None:
            raise ApiError("UNAUTHENTICATED", "Send a valid key: Authorization: Bearer KEY. Nothing was done.")
        if operation.scope not in self.identity.scopes:
            raise ApiError("FORBIDDEN", f"{self.identity.name} lacks the scope {operation.scope}. Nothing was done.")
        if self.identity.services and operation.scope == "act" and not operation.of_service:
            raise ApiError(
                "FORBIDDEN", f"{self.identity.name} is of {bound_to(self.identity)} alone. Nothing was done."
            )

    def for_service(self, service: str) -> None:
        """ApiError FORBIDDEN where the key is not of this service."""
        if self.identity is not None and not self.identity.may_touch(service):
            detail = f"{self.identity.name} is of {bound_to(self.identity)}, not of {service[:200]}. Nothing was done."
            raise ApiError("FORBIDDEN", detail)

    def query(self, kind: type[T]) -> T:
        """The query string as a Struct; 422 names the parameter."""
        struct = cast(Any, kind)
        known = dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))
        values: dict[str, str] = {}
        for name, given in self.request.query_arguments.items():
            if name not in known:
                raise invalid(name, f"is not a parameter here; known are {', '.join(sorted(known))}")
            if len(given) > 1:
                raise invalid(name, "is given more than once")
            values[name] = self.get_query_argument(name)
        try:
            asked = msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise field_error(error, kind) from None
        for name, value in values.items():
            if getattr(asked, known[name]) is None:  # msgspec takes the word null for none
                raise invalid(name, f"is {value}; leave it out instead")
        return asked

    def body(self, kind: type[T]) -> T:
        """The JSON body as a typed value; 415, 400 or 422 with the field."""
        try:
            return msgspec.json.decode(self.json(), type=kind)
        except msgspec.ValidationError as error:
            raise field_error(error, kind) from None
        except BROKEN as error:
            raise ApiError("BAD_REQUEST", f"The body is not JSON: {error}. Nothing was done.") from None

    def json(self) -> bytes:
        """The body as it came, which says that it is JSON; ApiError UNSUPPORTED_MEDIA_TYPE."""
        media = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media not in ("application/json", "application/merge-patch+json"):
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json.")
        return self.request.body

    def reply(self, value: object, status: int | None = None) -> None:
        """Answer with JSON, by default with the operation's own status."""
        declared = self.operation.status if self.operation else 200
        self.set_status(status or declared)
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(value))


class NotFound(ApiHandler):
    """Any API address that is not in the table."""

    @classmethod
    def takes(cls, method: str) -> bool:
        """Any method finds nothing."""
        return True

    async def admit(self) -> None:
        raise ApiError("NOT_FOUND", f"{self.request.path} is not an address of this API; see /api/docs.")


def field_error(error: msgspec.ValidationError, kind: Any) -> ApiError:
    """A value that does not fit its type, as its field, what may stand there and that nothing came of it."""
    field, reason = field_and_reason(str(error), kind)
    return invalid(field or "body", reason)


def retry_after(seconds: float) -> int:
    """Whole seconds for Retry-After: at least 1."""
    return max(1, math.ceil(seconds))
