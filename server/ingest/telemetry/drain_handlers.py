"""HTTP of drains: Heroku's Logplex, and syslog of rsyslog, syslog-ng and other shippers. See docs/connect.

A drain gives up on what is answered too late, and drops or repeats by the status alone: 2xx once all is durable, 503
where it is not yet; Logplex within 2 s. A body is never wrong as such: what is no message is a log line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import tzinfo
from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from msgspec import UNSET, Struct, UnsetType

from server.http.failures import as_api_error
from server.http.operation import operation
from server.http.route import Route
from server.ingest.post import digest
from server.ingest.telemetry.drain import DrainTaken, take
from server.ingest.telemetry.going import ANSWER_S, ONCE, ONCE_IF_TIMED, Going, going_on, in_time
from server.ingest.telemetry.receiving import Incoming
from server.ingest.telemetry.telemetry_handler import DrainAsked, TelemetryHandler
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.receivers import logplex, syslog_drain
from server.receivers.drained import Drained

FRAME_ID = "Logplex-Frame-Id"
# Of what comes again, nobody may be able to tell that it does: these senders wait for 10 s and more.
SLOW_ANSWER_S = 8.0
BODY_MAX = 16 * 1024 * 1024  # bytes: Vector's batches have 10 MB
ERRORS = ("BAD_REQUEST", "INVALID", "PAYLOAD_TOO_LARGE", "QUEUE_FULL", "THROTTLED", "UNAVAILABLE")
BORNE = frozenset(
    {"UNAUTHENTICATED", "FORBIDDEN", "METHOD_NOT_ALLOWED", "NOT_FOUND", "UNSUPPORTED_MEDIA_TYPE", *ERRORS}
)


class SyslogAsked(DrainAsked):
    """`zone` is that of times that name none, such as Europe/Berlin."""

    zone: str = "UTC"


class DrainAnswer(Struct):
    """What was kept, durably. `cut`: messages that a sender or a relay had cut; `spool`: it waits on the disk of the
    machine for the database."""

    messages: int
    outcomes: int
    lines: int
    changes: int
    abandoned: int
    refused: int
    cut: int
    stored: str | UnsetType = UNSET


class DrainHandler(TelemetryHandler):
    """What the addresses of drains share."""

    path: ClassVar[str]
    answer_s = ANSWER_S
    again = ONCE

    def body_limit(self) -> int:
        return BODY_MAX

    async def kept(
        self, read: Callable[[bytes], Drained], marked: Callable[[bytes, Drained], bytes]
    ) -> tuple[DrainTaken, Drained]:
        """What became of the body, once all of it is durable, within the time that senders wait. `read` says what it
        says, `marked` by what a repeat is known."""
        assert self.identity is not None
        body, self.request.body = self.request.body, b""
        frame = self.request.headers.get(FRAME_ID, "").encode()
        known_by = Going(self.identity.key_id, self.request.uri or "", digest(frame + b"\n" + body))
        storing, self.settled = going_on(known_by, partial(self.take_in, body, read, marked))
        del body
        try:
            return await in_time(storing, self.answer_s, self.again)
        finally:
            self.settled |= not storing.done()

    async def keep(self, read: Callable[[bytes], Drained], marked: Callable[[bytes, Drained], bytes]) -> None:
        """Answer once all of the body is durable."""
        taken, drained = await self.kept(read, marked)
        self.stored = taken.outcomes
        self.reply(answer_of(taken, drained), 202 if taken.spooled else 200)

    async def take_in(
        self, body: bytes, read: Callable[[bytes], Drained], marked: Callable[[bytes, Drained], bytes]
    ) -> tuple[DrainTaken, Drained]:
        assert self.identity is not None
        await self.parts.intake.turns.next(len(body))
        drained = await asyncio.to_thread(read, body)
        address = self.request.remote_ip or ""
        incoming = Incoming(self.receiver, self.path, marked(body, drained), address, self.received)
        del body
        self.settled = True
        return await take(self.parts, self.identity, incoming, drained, self.request_id), drained

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code)
        self.count_refusal(error)
        self.finish(self.tell(bearable(error)))


class LogplexHandler(DrainHandler):
    """/api/v1/drains/logplex"""

    receiver = "Heroku"
    path = "/api/v1/drains/logplex"

    @operation(
        "Heroku's HTTPS drain",
        scope="ingest",
        query=DrainAsked,
        body=str,
        returns=DrainAnswer,
        also=(202,),
        errors=ERRORS,
        headers=(FRAME_ID,),
        body_media=("application/logplex-1", "text/plain"),
    )
    async def post(self) -> None:
        """Lines of the router become outcomes, those of the API changes, all others log lines. The same
        Logplex-Frame-Id again changes nothing."""
        service = self.service_of(self.query(DrainAsked).service)
        now, mark = int(shared_clock.now() * 1_000_000), self.request.headers.get(FRAME_ID, "").encode()
        await self.keep(
            lambda body: logplex.read(body, now, service), lambda body, _: digest(mark + b"\n" + digest(body))
        )


class SyslogHandler(DrainHandler):
    """/api/v1/drains/syslog"""

    receiver = "Syslog"
    answer_s = SLOW_ANSWER_S
    again = ONCE_IF_TIMED
    path = "/api/v1/drains/syslog"

    @operation(
        "Syslog over HTTP: RFC 5424 and 3164, by octet counts or by lines",
        scope="ingest",
        query=SyslogAsked,
        body=str,
        returns=DrainAnswer,
        also=(202,),
        errors=ERRORS,
        body_media=("text/plain", "application/octet-stream"),
    )
    async def post(self) -> None:
        """Access lines of servers become outcomes, all others log lines. The same body again changes nothing where
        one of its lines has a time with a fraction of its second; else nobody could tell it from another one."""
        asked = self.query(SyslogAsked)
        service, zone = self.service_of(asked.service), zone_of(asked.zone)
        now = int(shared_clock.now() * 1_000_000)
        await self.keep(
            lambda body: syslog_drain.drain(body, now, service, zone),
            lambda body, drained: digest(body) if drained.exact else os.urandom(16),
        )


def bearable(error: ApiError) -> ApiError:
    """An error as what its sender tries again, where it is none of the sender's."""
    return error if error.code in BORNE else ApiError("UNAVAILABLE", error.detail, retry_after=1)


def zone_of(name: str) -> tzinfo:
    """A time zone by its name; ApiError INVALID."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise invalid("zone", f"{name[:60]} is no time zone that this machine knows, as Europe/Berlin") from None


def answer_of(taken: DrainTaken, drained: Drained) -> DrainAnswer:
    """What its sender is told, which drains do not read and people do."""
    return DrainAnswer(
        messages=drained.messages,
        outcomes=taken.outcomes,
        lines=taken.lines,
        changes=taken.changes,
        abandoned=taken.abandoned,
        refused=taken.refused,
        cut=drained.cut,
        stored="spool" if taken.spooled else UNSET,
    )


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/drains/logplex", LogplexHandler),
    Route("/api/v1/drains/syslog", SyslogHandler),
)
