"""/api/v1/drains/json: log lines as shippers send them over HTTP."""

from __future__ import annotations

import os
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from server.http.body import TELEMETRY_BYTES
from server.http.operation import operation
from server.http.route import Route
from server.ingest.lines.line_intake import TakenLines
from server.ingest.post import digest
from server.ingest.telemetry.drain_handlers import SLOW_ANSWER_S, DrainHandler
from server.ingest.telemetry.going import ONCE_IF_TIMED
from server.ingest.telemetry.telemetry_handler import DrainAsked
from server.kernel.errors import ApiError
from server.receivers import json_lines
from server.receivers.drained import Drained

PATH = "/api/v1/drains/json"
ERRORS = ("BAD_REQUEST", "INVALID", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "QUEUE_FULL", "UNAVAILABLE")
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


class JsonLinesHandler(DrainHandler):
    """/api/v1/drains/json"""

    receiver = "JSON lines"
    path = PATH
    answer_s = SLOW_ANSWER_S
    again = ONCE_IF_TIMED

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
        service = self.service_of(self.query(DrainAsked).service)
        taken, drained = await self.kept(lambda body: lines_of(body, service), marked)
        self.taken = len(taken.of_lines.kept)
        answer = answer_of(taken.of_lines, drained.left.total(), spooled=taken.spooled)
        self.reply(answer, 202 if taken.spooled else 200)


def lines_of(body: bytes, service: str) -> Drained:
    """The lines of a body; ApiError INVALID where nobody says whose they are."""
    drained = json_lines.read(body, service)
    if drained.left["no service"] and not drained.lines:
        raise ApiError("INVALID", NO_SERVICE)
    return drained


def marked(body: bytes, drained: Drained) -> bytes:
    """By what a body is known that comes again, where each of its lines has a time."""
    return digest(body) if all(line.at for line in drained.lines) else os.urandom(16)


def answer_of(taken: TakenLines, left: int, *, spooled: bool) -> LinesAnswer:
    return LinesAnswer(
        len(taken.kept), taken.refused + left, taken.over, taken.old, stored="spool" if spooled else UNSET
    )


ROUTES: tuple[Route, ...] = (Route(PATH, JsonLinesHandler),)
