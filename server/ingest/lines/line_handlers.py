"""/api/v1/drains/json: log lines as shippers send them over HTTP."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from server.http.body import TELEMETRY_BYTES
from server.http.failures import as_api_error
from server.http.operation import operation
from server.http.route import Route
from server.ingest.lines.line import line_of
from server.ingest.lines.line_intake import TakenLines
from server.ingest.post import digest
from server.ingest.telemetry.receiving import HandedIn, Incoming, ReceivedOutcomes, receive
from server.ingest.telemetry.telemetry_handler import DrainAsked, TelemetryHandler
from server.kernel.errors import ApiError
from server.receivers import json_lines
from server.receivers.drained import Drained

PATH = "/api/v1/drains/json"
ERRORS = ("BAD_REQUEST", "INVALID", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "QUEUE_FULL", "UNAVAILABLE")
# What a shipper would drop although it can be stored the next time.
LATER = frozenset({"IN_FLIGHT", "IDEMPOTENCY_MISMATCH", "REQUEST_TIMEOUT", "INTERNAL", "THROTTLED"})
NO_TEXT = "Send JSON, or lines of text: in Fluent Bit `Format json`. Nothing was stored."
NO_SERVICE = (
    "None of the lines names a service: give the address ?service=NAME, the lines a field `service`, or use a key that "
    "is bound to one service. Nothing was stored."
)


class LinesAnswer(Struct):
    """How many lines are kept, durably, and how many are not: no objects or without a service, or one that the key may
    not send (`refused`), over the bytes of a day (`over`), older than is kept (`old`)."""

    lines: int
    refused: int
    over: int
    old: int
    stored: str | UnsetType = UNSET


class JsonLinesHandler(TelemetryHandler):
    """/api/v1/drains/json"""

    receiver = "JSON lines"

    def body_limit(self) -> int:
        return TELEMETRY_BYTES

    @operation(
        "Log lines as JSON: an array, objects one a line or one behind the other, or lines of text",
        scope="ingest",
        query=DrainAsked,
        body=Any,
        returns=LinesAnswer,
        also=(202,),
        errors=ERRORS,
        headers=("Content-Encoding",),
        body_media=("application/json", "application/x-ndjson", "text/plain"),
    )
    async def post(self) -> None:
        """200 once they are durable, 202 on the disk of this machine. The same body again changes nothing where each
        of its lines has a time; without one nobody could tell it from another."""
        if "msgpack" in self.request.headers.get("Content-Type", ""):
            raise ApiError("UNSUPPORTED_MEDIA_TYPE", NO_TEXT)
        body, self.request.body = self.request.body, b""
        await self.parts.intake.turns.next(len(body))
        drained = await asyncio.to_thread(json_lines.read, body, self.service_of(self.query(DrainAsked).service))
        if drained.left["no service"] and not drained.lines:
            raise ApiError("INVALID", NO_SERVICE)
        received = await self.keep(body, drained)
        self.taken = len(received.lines.kept)
        left = drained.left.total()
        self.reply(answer_of(received.lines, left, spooled=received.spooled), 202 if received.spooled else 200)

    async def keep(self, body: bytes, drained: Drained) -> ReceivedOutcomes:
        assert self.identity is not None
        mark = digest(body) if all(line.at for line in drained.lines) else os.urandom(16)
        incoming = Incoming(self.receiver, PATH, mark, self.request.remote_ip or "", self.received)
        self.settled = True
        return await receive(
            self.parts, self.identity, incoming, HandedIn((), lines=[line_of(line) for line in drained.lines])
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code)
        self.count_refusal(error)
        later = ApiError("UNAVAILABLE", error.detail, retry_after=1) if error.code in LATER else error
        self.finish(self.tell(later))


def answer_of(taken: TakenLines, left: int, *, spooled: bool) -> LinesAnswer:
    return LinesAnswer(
        len(taken.kept), taken.refused + left, taken.over, taken.old, stored="spool" if spooled else UNSET
    )


ROUTES: tuple[Route, ...] = (Route(PATH, JsonLinesHandler),)
