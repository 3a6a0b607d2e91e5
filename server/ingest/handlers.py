"""POST /api/v1/outcomes: what a sender asks, and what it is answered. See also server/ingest/lean.py."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from server.http.body import Coding, declared
from server.http.failures import as_api_error
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.ingest.outcome import Outcome
from server.ingest.post import Accepted, AskedPost, OutcomesPost
from server.ingest.received import HOT
from server.kernel.names import TRIAL

ERRORS = (
    "BAD_REQUEST",
    "REQUEST_TIMEOUT",
    "PAYLOAD_TOO_LARGE",
    "BATCH_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "INVALID",
    "IN_FLIGHT",
    "IDEMPOTENCY_MISMATCH",
    "QUEUE_FULL",
    "THROTTLED",
    "UNAVAILABLE",
)


class PostQuery(Struct):
    """`partial`: store the good items of a batch that has faults. `timed` false: how long its outcomes took is not
    known, whatever their `duration_ms` says; they count in no latency."""

    partial: bool = False
    timed: bool = True


class OutcomesHandler(ApiHandler):
    """Outcomes in."""

    codings: tuple[Coding, ...] = ("identity", "gzip")
    first = False
    receiver = HOT
    posted: OutcomesPost | None = None  # once its body is there

    async def admit(self) -> None:
        """A known sender, and time for what it sends: else it is refused before its body is read."""
        await super().admit()
        self.parts.intake.turns.require()

    def body_limit(self) -> int:
        key_id = self.identity.key_id if self.identity else 0
        return self.parts.settings.limits_for(key_id).max_request_body_bytes

    @operation(
        "Send outcomes: a JSON array or NDJSON, as it is or gzip.",
        scope="ingest",
        query=PostQuery,
        body=list[Outcome],
        returns=Accepted,
        status=201,
        also=(202,),
        errors=ERRORS,
        headers=("Idempotency-Key", "Content-Encoding", TRIAL),
        body_media=("application/json", "application/x-ndjson"),
        answer_headers=("Idempotent-Replayed", "RateLimit", "RateLimit-Policy"),
    )
    async def post(self) -> None:
        self.posted = OutcomesPost(self.parts, self.identity, self.asked(), self.request.body, self.received)
        self.request.body = b""
        stored = await self.posted.store(self.asks_partial, self.let_go)
        self.say(self.posted)
        self.stored = self.posted.stored
        self.set_status(202 if stored.spooled else 201)
        self.set_header("Content-Type", "application/json")
        self.finish(stored.answer)

    def asks_partial(self) -> bool:
        """What its query says; read once the body was."""
        asked = self.query(PostQuery)
        assert self.posted is not None
        self.posted.asked.timed = asked.timed
        return asked.partial

    def asked(self) -> AskedPost:
        headers = self.request.headers
        return AskedPost(
            media=headers.get("Content-Type", ""),
            uri=self.request.uri or "",
            key=headers.get("Idempotency-Key"),
            trial=TRIAL in headers,
            address=self.request.remote_ip or "",
            receiver=self.receiver,
        )

    def say(self, posted: OutcomesPost) -> None:
        """The headers of its own."""
        for name, value in posted.headers.items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if self.request.method == "POST":
            error = as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code)
            received = self.received or declared(self.request.headers.get("Content-Length", ""))
            posted = self.posted or OutcomesPost(self.parts, self.identity, self.asked(), received=received)
            posted.count_refusal(error)
            self.taken = posted.items or 0
            self.say(posted)
        super().write_error(status_code, **kwargs)


ROUTES: tuple[Route, ...] = (Route("/api/v1/outcomes", OutcomesHandler),)
