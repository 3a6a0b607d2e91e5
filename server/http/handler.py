"""What every API handler shares: request id, who calls, JSON in and out, problems."""

from __future__ import annotations

import logging
import math
import re
import time
from http import HTTPStatus
from typing import Any, TypeVar, cast

import msgspec
import psycopg
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tornado.web import HTTPError, RequestHandler

from server.auth.identity import Identity
from server.auth.proxies import believe
from server.auth.tokens import is_own_check
from server.http.operation import Operation
from server.kernel.errors import REFUSED_CODES, REFUSED_STATUSES, ApiError, invalid, problem
from server.kernel.field_fault import field_and_reason
from server.kernel.ids import uuid7
from server.kernel.names import OWN_CHECK
from server.parts import Parts
from server.telemetry import metrics
from server.telemetry.log_line import in_request

log = logging.getLogger("evenkeel.access")

T = TypeVar("T")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
TLS_ONLY_S = 365 * 24 * 3600  # how long a browser that came over TLS keeps to it
NOT_AUTHORISED = {"WWW-Authenticate": 'Bearer realm="evenkeel"'}


class Handler(RequestHandler):
    """The base of API handlers and pages: the request id, the parts, one log line a request."""

    identity: Identity | None = None
    request_id = ""  # set by `initialize`
    stored: int | None = None  # outcomes that this request stored; None: it is not for storing any
    code = ""  # of the problem document that was answered
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

    def stamp(self) -> None:
        """The headers that every answer of this request carries."""
        self.set_header("X-Request-Id", self.request_id)
        if self.over_tls:
            self.set_header("Strict-Transport-Security", f"max-age={TLS_ONLY_S}")
        if self.parts.stopping:
            self.set_header("Connection", "close")

    @property
    def over_tls(self) -> bool:
        """Whether people reach us over TLS: by PUBLIC_URL, or as a trusted proxy says of this request."""
        return self.parts.env.public_url.startswith("https://") or self.request.protocol == "https"

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
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.clear_header("Server")

    def on_connection_close(self) -> None:
        super().on_connection_close()  # ends the wait for a body that will not come
        self.parts.in_flight.discard(self)

    def on_finish(self) -> None:
        self.parts.in_flight.discard(self)
        record(self, time.perf_counter() - self.started)


def record(handler: Handler, seconds: float) -> None:
    """One answered request: its log line, the metrics, and the outcome of the service `evenkeel`."""
    request = handler.request
    status = handler.get_status()
    route = handler.route or type(handler).__name__
    metrics.request(route, request.method or "", status, seconds)
    if handler.counted:
        refused = status in REFUSED_STATUSES or handler.code in REFUSED_CODES
        handler.parts.intake.count_own(route, request.method or "", status, None if refused else seconds)
    stored = {} if handler.stored is None else {"stored": handler.stored}
    log.log(
        logging.DEBUG if handler.routine else logging.INFO,
        "%s %s %d",
        request.method,
        request.path,
        status,
        extra={
            "request_id": handler.request_id,
            "fields": {
                "route": route,
                "duration_ms": round(seconds * 1000, 2),
                "who": handler.identity.name if handler.identity else "",
                "address": request.remote_ip,
                **stored,
            },
        },
    )


class ApiHandler(Handler):
    """The base of API handlers. Methods carry `@operation`, which this class enforces."""

    operation: Operation | None = None

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def check_xsrf_cookie(self) -> None:
        """Cookies only authorise GET here (see `authorise`), so there is nothing to forge."""

    async def prepare(self) -> None:
        method = getattr(self, (self.request.method or "GET").lower(), None)
        self.operation = getattr(method, "operation", None)
        if self.operation is not None and self.operation.scope is not None:
            await self.authorise(self.operation)

    async def authorise(self, operation: Operation) -> None:
        """The key's or, for GET, the session's identity; ApiError 401 or 403."""
        self.identity = await self.parts.auth.identify(self, allow_session=self.request.method in ("GET", "HEAD"))
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
        known = cast(Any, kind).__struct_encode_fields__
        values: dict[str, str] = {}
        for name in self.request.query_arguments:
            if name not in known:
                raise invalid(name, f"is not a parameter here; known are {', '.join(sorted(known))}")
            values[name] = self.get_query_argument(name)
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise field_error(error, kind) from None

    def body(self, kind: type[T]) -> T:
        """The JSON body as a typed value; 415, 400 or 422 with the field."""
        media = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media not in ("application/json", "application/merge-patch+json"):
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send the body as application/json.")
        try:
            return msgspec.json.decode(self.request.body, type=kind)
        except msgspec.ValidationError as error:
            raise field_error(error, kind) from None
        except msgspec.DecodeError as error:
            raise ApiError("BAD_REQUEST", f"The body is not JSON: {error}.") from None

    def reply(self, value: object, status: int | None = None) -> None:
        """Answer with JSON, by default with the operation's own status."""
        declared = self.operation.status if self.operation else 200
        self.set_status(status or declared)
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(value))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        failure = kwargs.get("exc_info", (None, None, None))[1]
        self.finish(self.tell(as_api_error(failure, status_code)))

    def tell(self, error: ApiError) -> bytes:
        """Set status and headers for an error; the body that belongs to them."""
        if error.retry_after is not None:
            self.set_header("Retry-After", str(error.retry_after))
        if error.status == HTTPStatus.UNAUTHORIZED:
            for name, value in NOT_AUTHORISED.items():
                self.set_header(name, value)
        self.code = error.code
        self.set_status(error.status)
        self.set_header("Content-Type", "application/problem+json")
        return msgspec.json.encode(problem(error, self.request_id, self.request.path))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, ApiError | HTTPError):
            super().log_exception(typ, value, tb)


def bound_to(identity: Identity) -> str:
    """The services that a key is bound to, for people."""
    return ", ".join(sorted(identity.services))


class NotFound(ApiHandler):
    """Any API address that is not in the table."""

    async def prepare(self) -> None:
        raise ApiError("NOT_FOUND", f"{self.request.path} is not an address of this API; see /api/docs.")


STALLED = "25P03"  # we stood still inside a transaction, and the database ended it


def as_api_error(failure: BaseException | None, status: int) -> ApiError:
    """Any exception as what the caller is told; the one mapping."""
    if isinstance(failure, ApiError):
        return failure
    if isinstance(failure, DataError | psycopg.DataError):
        # Such as a NUL, which PostgreSQL's text cannot hold.
        return ApiError("INVALID", f"A value cannot be stored or looked for: {said(failure)}. Nothing was done.")
    if isinstance(failure, PoolTimeout | OSError) or (isinstance(failure, DBAPIError) and is_outage(failure)):
        return ApiError("UNAVAILABLE", f"{why_not_now(failure)} Nothing was done; try again.", retry_after=2)
    if isinstance(failure, RecursionError):
        return ApiError("BAD_REQUEST", "The body is nested too deeply. Nothing was done.")
    by_status = {400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
    if status in by_status:
        reason = failure.log_message if isinstance(failure, HTTPError) and failure.log_message else ""
        return ApiError(by_status[status], reason or HTTPStatus(status).description or HTTPStatus(status).phrase)
    return ApiError("INTERNAL", "Evenkeel failed; the log has the cause under this request_id.")


def said(failure: DataError | psycopg.DataError) -> str:
    """PostgreSQL's own words, without the statement."""
    cause = failure.orig if isinstance(failure, DataError) else failure
    return (str(cause).splitlines() or ["it does not fit"])[0]


def is_outage(failure: DBAPIError) -> bool:
    """Whether the database is away, as opposed to having refused a statement of ours."""
    state = getattr(failure.orig, "sqlstate", None)
    return failure.connection_invalidated or state is None or state[:2] in ("08", "53", "57", "55") or state == STALLED


WHY_NOT_NOW = {
    "53300": "The database takes no more connections.",
    "55P03": "Somebody else is changing this just now.",
    "57014": "The database took too long for this.",
}


def why_not_now(failure: PoolTimeout | OSError | DBAPIError) -> str:
    """What an outage, or what looks like one, is."""
    if isinstance(failure, PoolTimeout):
        return "Too many people act at once: every connection to the database is in use."
    state = getattr(failure.orig, "sqlstate", None) if isinstance(failure, DBAPIError) else None
    return WHY_NOT_NOW.get(state or "", "The database does not answer.")


def field_error(error: msgspec.ValidationError, kind: Any) -> ApiError:
    """A value that does not fit its type, as its field, what may stand there and that nothing came of it."""
    field, reason = field_and_reason(str(error), kind)
    return invalid(field or "body", reason)


def retry_after(seconds: float) -> int:
    """Whole seconds for Retry-After: at least 1."""
    return max(1, math.ceil(seconds))
