"""OTLP over HTTP: what its senders can bear to be answered, and /v1/traces.

SDKs and collectors drop for good what is answered with most statuses (docs/connect/opentelemetry.md has which), so the
only ones here are 200, 400, 401, 413 and 503, and those within 2 s: an SDK gives up after 10 s, its tries included.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from server.auth.identity import Identity
from server.http.body import TELEMETRY_BYTES
from server.http.failures import as_api_error
from server.http.handler import NotFound
from server.http.operation import operation
from server.http.route import AnywhereRoute, Route
from server.ingest.post import digest
from server.ingest.telemetry.going import ANSWER_S, Going, going_on, in_time
from server.ingest.telemetry.receiving import HandedIn, Incoming, ReceivedOutcomes, may_send, receive
from server.ingest.telemetry.telemetry_handler import TelemetryHandler
from server.kernel.errors import ApiError
from server.receivers.otlp import wire
from server.receivers.otlp.spans import ReadSpans, read_spans

RETRY_S = (1, 4)  # SDKs burn all tries at once on less, and lose the batch on more
PHRASE_MAX = 120  # characters
SLICE_BYTES = 100_000  # of a body: what is read between two turns
ADDRESSES = ("/v1/traces", "/v1/logs", "/v1/metrics")
# Errors are google.rpc.Status in protobuf, of which spans' own Status has the one field that we fill.
PROTOBUF = frozenset({"application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf"})
JSON = "application/json"
ERRORS = ("BAD_REQUEST", "PAYLOAD_TOO_LARGE", "QUEUE_FULL", "THROTTLED", "UNAVAILABLE")
# What senders would drop, as what says nearly the same and they do not; 400 where it would be the same the next time.
TOLD_AS = {
    "FORBIDDEN": "UNAUTHENTICATED",
    "UNSUPPORTED_MEDIA_TYPE": "BAD_REQUEST",
    "INVALID": "BAD_REQUEST",
    "IDEMPOTENCY_MISMATCH": "BAD_REQUEST",
    "REQUEST_TIMEOUT": "UNAVAILABLE",
    "IN_FLIGHT": "UNAVAILABLE",
    "INTERNAL": "UNAVAILABLE",
    "BATCH_TOO_LARGE": "UNAVAILABLE",
}


class PartialSuccess(Struct, rename="camel"):
    """What was refused of a request whose rest is kept: how many spans, and what was wrong with the first."""

    rejected_spans: str
    error_message: str


class OtlpAnswer(Struct, rename="camel", omit_defaults=True):
    """Everything else is kept, durably."""

    partial_success: PartialSuccess | None = None


class OtlpHandler(TelemetryHandler):
    """What the three addresses share."""

    path: ClassVar[str]
    repeats = False  # the same is being stored already

    async def admit(self) -> None:
        """A known sender at an address that it means, and time for what it sends."""
        if self.request.path.rstrip("/").count(self.path) > 1:
            raise twice(self.request.path, self.path)
        given = self.request.headers.get("Authorization")
        if given is not None:
            self.request.headers["Authorization"] = unquoted(given)
        try:
            await super().admit()
        except ApiError as error:
            if error.code == "UNAUTHENTICATED":
                raise no_key(given) from None
            raise

    def body_limit(self) -> int:
        settings, key_id = self.parts.settings, self.identity.key_id if self.identity else 0
        if settings.lowered("MAX_REQUEST_BODY_BYTES", key_id):
            return settings.limits_for(key_id).max_request_body_bytes
        return TELEMETRY_BYTES

    @property
    def media(self) -> str:
        """The type of the body."""
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def in_json(self) -> bool:
        """Whether the body is JSON; ApiError BAD_REQUEST where it is neither JSON nor protobuf."""
        if self.media != JSON and self.media not in PROTOBUF:
            raise ApiError("BAD_REQUEST", "Send application/x-protobuf or application/json. Nothing was stored.")
        return self.media == JSON

    async def received_of(self, read: Any) -> ReceivedOutcomes:
        """What became of the body, which `read` makes outcomes of, within the time that senders wait."""
        assert self.identity is not None
        body, self.request.body = self.request.body, b""
        incoming = Incoming(self.receiver, self.path, digest(body), self.request.remote_ip or "", self.received)
        known_by = Going(self.identity.key_id, self.path, incoming.digest)
        storing, self.repeats = going_on(known_by, partial(self.store, body, incoming, read))
        self.settled = self.repeats
        del body
        try:
            return await in_time(storing, ANSWER_S)
        finally:
            self.settled |= not storing.done()

    async def store(self, body: bytes, incoming: Incoming, read: Any) -> ReceivedOutcomes:
        assert self.identity is not None
        handed = await read(body)
        del body
        self.settled = True
        return await receive(self.parts, self.identity, incoming, handed)

    def answered(self, received: ReceivedOutcomes, protobuf: Any, answer: Any) -> None:
        """200, in the form in which it was asked."""
        for name, value in (received.quota.headers if received.quota else {}).items():
            self.set_header(name, value)
        self.stored = 0 if self.repeats or received.repeated else received.kept
        json = self.in_json()
        self.set_header("Content-Type", JSON if json else "application/x-protobuf")
        self.finish(msgspec.json.encode(answer) if json else protobuf.SerializeToString())

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code)
        self.count_refusal(error)
        told = bearable(error)
        body = self.tell(told)
        self.set_status(told.status, phrase(told.detail))  # Python's SDK logs that, and no body
        if self.media in PROTOBUF:
            self.set_header("Content-Type", "application/x-protobuf")
            body = Status(message=error.detail).SerializeToString()
        self.finish(body)


class TracesHandler(OtlpHandler):
    """/v1/traces at the end of any address."""

    path = "/v1/traces"
    receiver = "OTLP traces"

    @operation(
        "Send spans by OTLP: protobuf or JSON, as it is, gzip or deflate",
        scope="ingest",
        body=dict[str, Any],
        returns=OtlpAnswer,
        errors=ERRORS,
        headers=("Content-Encoding",),
        body_media=("application/x-protobuf", "application/json"),
        answer_headers=("RateLimit", "RateLimit-Policy"),
    )
    async def post(self) -> None:
        """SERVER and CONSUMER spans become outcomes, each counted once. What is wrong with one refuses that one."""
        json = self.in_json()
        received = await self.received_of(lambda body: self.read(body, json))
        refused, why = len(received.faults), first_fault(received)
        self.answered(
            received,
            ExportTraceServiceResponse(
                partial_success=ExportTracePartialSuccess(rejected_spans=refused, error_message=why)
            )
            if refused
            else ExportTraceServiceResponse(),
            OtlpAnswer(PartialSuccess(str(refused), why) if refused else None),
        )

    async def read(self, body: bytes, json: bool) -> HandedIn:
        """The outcomes in a body, with turns for others between."""
        turns = self.parts.intake.turns
        await turns.next(len(body))
        read = ReadSpans(self.parts.routes.route, one_in_of(self.identity))
        request = wire.read(body, wire.TRACES, json=json)
        del body
        for _ in read_spans(request, read):
            await turns.next(SLICE_BYTES)
        await self.note(read)
        return HandedIn(read.outcomes, bytes(read.item_claims), read.abandoned)

    async def note(self, read: ReadSpans) -> None:
        """Note whose spans have come."""
        assert self.identity is not None
        every = {outcome.service for outcome in read.outcomes} | read.abandoned.keys()
        services = {service for service in every if may_send(self.identity, service)}
        await self.parts.intake.sources.note_spans(services - read.sampled)
        await self.parts.intake.sources.note_spans(services & read.sampled, sampled=True)


class MisaddressedTelemetry(NotFound):
    """A sender has put its path behind a query."""

    async def admit(self) -> None:
        path = next(one for one in ADDRESSES if self.request.query.endswith(one))
        raise ApiError(
            "NOT_FOUND",
            f"{self.request.path}?… ends in {path}: give the sender an address without a query, as "
            f"https://HOST, behind which it puts {path} by itself. Nothing was stored.",
        )


def misaddressed(query: str) -> bool:
    """Whether a sender's path has come to stand in the query."""
    return query.endswith(ADDRESSES)


def twice(path: str, own: str) -> ApiError:
    """404 for a path that has the sender's own in it twice."""
    return ApiError(
        "NOT_FOUND",
        f"{path} has {own} in it twice: give the sender the address before it, or {own} once where it takes the whole "
        "address (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT). Nothing was stored.",
    )


def unquoted(authorization: str) -> str:
    """The header without the quotes and escapes that it gets from the file or shell in which it was written."""
    plain = unquote(authorization) if "%" in authorization else authorization
    scheme, _, key = plain.strip().strip("\"'").strip().partition(" ")
    return f"{scheme} {key.strip().strip(chr(34) + chr(39))}".strip()


def no_key(authorization: str | None) -> ApiError:
    """401, which tells a key that is missing from one that is not known."""
    known = "This key is not known" if authorization else "No key was sent"
    return ApiError("UNAUTHENTICATED", f"{known}: Authorization: Bearer KEY, with the scope ingest. Nothing was done.")


def phrase(detail: str) -> str:
    """The first sentence of what is told, for the status line."""
    return "".join(one for one in detail.partition(". ")[0] if " " <= one <= "~")[:PHRASE_MAX]


def bearable(error: ApiError) -> ApiError:
    """An error as what its sender bears."""
    code, least, most = TOLD_AS.get(error.code, error.code), *RETRY_S
    if code == "PAYLOAD_TOO_LARGE" and error.extra.get("limit", TELEMETRY_BYTES) < TELEMETRY_BYTES:
        code = "THROTTLED"  # a limit that was lowered will be raised again
    told = ApiError(code, error.detail, retry_after=error.retry_after, **error.extra)
    if told.status == 503:
        told.retry_after = min(max(error.retry_after or least, least), most)
    return told


def one_in_of(identity: Identity | None) -> float | None:
    """The key's sender sends the spans of one in so many requests; None: of all."""
    return None if identity is None or identity.sampled == 1 else 1 / identity.sampled


def first_fault(received: ReceivedOutcomes) -> str:
    """What was wrong with the first that was refused."""
    return f"{received.faults[0].field} {received.faults[0].reason}" if received.faults else ""


ROUTES: tuple[Route, ...] = (AnywhereRoute("/v1/traces", TracesHandler),)
