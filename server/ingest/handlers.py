"""POST /api/v1/outcomes: what a sender asks, and what it is answered."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from server.config.registry import Limits
from server.http.body import Coding, declared
from server.http.failures import as_api_error
from server.http.handler import ApiHandler, bound_to
from server.http.operation import operation
from server.http.route import Route
from server.ingest.batch import StoredBatch
from server.ingest.counted import Counted
from server.ingest.decode import FAULTS_NAMED, MEDIA, Decoded, Form, ItemFault, decode, faults_error
from server.ingest.outcome import Outcome, span
from server.ingest.sent import SentBatch, without
from server.ingest.skew import SendingMachine
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OWN, TRIAL

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

KEY = re.compile(r"[\x21-\x7e]{1,255}")


class PostQuery(Struct):
    """`partial`: store the good items of a batch that has faults."""

    partial: bool = False


class Accepted(Struct):
    """What was stored, durably. With ?partial=true also what was not: the index of every such item, and
    what is wrong with the first 20; repeats of a request get the same, so it is kept and must be small.
    `stored`, in a 202: it is on the disk of the machine, and goes into the database once that is back."""

    accepted: int
    refused: list[ItemFault] | UnsetType = UNSET
    refused_indexes: list[int] | UnsetType = UNSET
    stored: Literal["spool"] | UnsetType = UNSET


def answer(decoded: Decoded, partial: bool) -> bytes:
    """The body of a 201."""
    accepted, faults = len(decoded.outcomes), decoded.faults
    if not partial:
        return msgspec.json.encode(Accepted(accepted))
    return msgspec.json.encode(Accepted(accepted, faults[:FAULTS_NAMED], [fault.index for fault in faults]))


def claimed(key: str, scope: str) -> bytes:
    """The digest of an Idempotency-Key within its scope (API key, path and query); 422 where it is malformed."""
    if not KEY.fullmatch(key):
        raise invalid("Idempotency-Key", "give 1 to 255 printable ASCII characters without spaces")
    return digest(f"{scope}\n{key}".encode())


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def too_many(limit: int, sent: int) -> ApiError:
    """413 for items."""
    return ApiError(
        "BATCH_TOO_LARGE",
        f"The limit is {limit} items a batch; {sent} were sent. Nothing was stored: send smaller batches.",
        limit=limit,
        sent=sent,
    )


class OutcomesHandler(ApiHandler):
    """Outcomes in. What is answered with 201 is in the database, with 202 on this machine's disk."""

    codings: tuple[Coding, ...] = ("identity", "gzip")
    services: Mapping[str, int] | None = None  # what the batch carries, once it was read
    items: int | None = None
    faults = 0  # items that are refused where the others are stored
    taken_us = 0  # when it was taken in, microseconds since 1970
    ahead_us = 0  # by so much the clock of the sender is ahead
    per_second = 0  # the rate that the throttle was charged by; 0: it was not

    @property
    def limits(self) -> Limits:
        return self.parts.settings.limits_for(self.key_id)

    @property
    def key_id(self) -> int:
        return self.identity.key_id if self.identity else 0

    def body_limit(self) -> int:
        return self.limits.max_request_body_bytes

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
    )
    async def post(self) -> None:
        try:
            sent, counted = await self.read()
            stored = await self.parts.intake.store(sent, counted)
        except Exception:
            await self.give_back()
            raise
        if stored.repeated:
            self.set_header("Idempotent-Replayed", "true")
            await self.give_back()
        else:
            self.stored = sent.items
            self.count_accepted(sent, counted, stored)
        self.set_status(202 if stored.spooled else 201)
        self.set_header("Content-Type", "application/json")
        self.finish(stored.answer)

    def form(self) -> Form:
        media = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        form = MEDIA.get(media)
        if form is None:
            raise ApiError(
                "UNSUPPORTED_MEDIA_TYPE", "Send application/json or application/x-ndjson. Nothing was stored."
            )
        return form

    async def read(self) -> tuple[SentBatch, Counted | None]:
        """Decode and count, within the limits in force. What was decoded is gone before the wait for the commit;
        with a spool the body stays."""
        limits, intake = self.limits, self.parts.intake
        decoded = self.decoded(self.request.body, self.form(), limits.ingest_max_batch_items)
        partial = self.query(PostQuery).partial
        if decoded.faults and not partial:
            raise faults_error(decoded.faults, decoded.items)
        await intake.throttle.admit(self.key_id, decoded.items, limits.ingest_max_items_per_second)
        self.per_second = limits.ingest_max_items_per_second
        sent = self.sent(decoded, partial)
        self.request.body = b""
        if intake.spool is None:
            sent.body = b""
            self.let_go()
        return sent, await intake.counted(decoded, sent)

    def sent(self, decoded: Decoded, partial: bool) -> SentBatch:
        """The batch as it was admitted."""
        key, body, form = self.request.headers.get("Idempotency-Key"), self.request.body, self.form()
        faulty = {fault.index for fault in decoded.faults}
        return SentBatch(
            body=without(body, form, faulty) if faulty else body,
            form="array" if faulty else form,
            at=self.taken_us,
            ahead_us=self.ahead_us,
            key_id=self.key_id,
            bound=bool(self.identity and self.identity.services),
            keep_rows=self.limits.ingest_store_outcomes,
            random=os.urandom(10),
            items=len(decoded.outcomes),
            answer=answer(decoded, partial),
            digest=os.urandom(16) if key is None else claimed(key, f"{self.key_id} {self.request.uri}"),
            body_digest=b"" if key is None else digest(body),
            keyed=key is not None,
        )

    def decoded(self, body: bytes, form: Form, items_max: int) -> Decoded:
        env = self.parts.env
        taken = span(shared_clock.now(), env.outcome_retention_days)
        self.taken_us = taken.now
        decoded = decode(body, form, taken, items_max, self.refuses)
        self.items, self.faults = decoded.items, len(decoded.faults)
        self.services = {service: n for service, n in decoded.services.items() if not self.refuses(service)}
        if decoded.items > items_max:
            raise too_many(items_max, decoded.items)
        sender = SendingMachine(self.key_id, self.request.remote_ip or "")
        self.ahead_us = self.parts.intake.skews.ahead_us(sender, decoded.newest, taken.now)
        if self.ahead_us:
            decoded.shift(-self.ahead_us)
        return decoded

    def refuses(self, service: str) -> str:
        """What is wrong with the key's sending outcomes of a service; empty: nothing."""
        if service == OWN:
            return f"{OWN} is Evenkeel itself, which counts its own requests; give another name"
        if self.identity is not None and not self.identity.may_touch(service):
            return f"the key {self.identity.name} may not send it; it is of {bound_to(self.identity)}"
        return ""

    async def give_back(self) -> None:
        """Nothing came of what was taken of the key's rate."""
        await self.parts.intake.throttle.give_back(self.key_id, self.items or 0, self.per_second)

    def count_accepted(self, sent: SentBatch, counted: Counted | None, stored: StoredBatch) -> None:
        intake = self.parts.intake
        services = self.services or {} if counted is None or stored.spooled else counted.services
        intake.accepted(self.key_id, services, sent.items, self.received, self.ahead_us)
        if self.faults:
            intake.refused_items(self.key_id, "INVALID", self.faults)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if self.request.method == "POST":
            self.count_refusal(as_api_error(kwargs.get("exc_info", (None, None, None))[1], status_code))
        super().write_error(status_code, **kwargs)

    def count_refusal(self, error: ApiError) -> None:
        """What is refused is counted, and whose it was."""
        said = declared(self.request.headers.get("Content-Length", ""))
        sent = error.extra["sent"] if error.code == "PAYLOAD_TOO_LARGE" else self.received or said
        # What a check sends too much of is nobody's traffic: no service becomes partial by it.
        key_id = 0 if TRIAL in self.request.headers and not self.services else self.key_id
        self.parts.intake.refused(key_id, self.services or None, error.code, self.items, sent)


ROUTES: tuple[Route, ...] = (Route("/api/v1/outcomes", OutcomesHandler),)
