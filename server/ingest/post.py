"""One POST of outcomes: the rules, however it came in. What is answered with 201 is in the database, with 202 on
this machine's disk."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from server.auth.identity import Identity, bound_to
from server.config.registry import Limits
from server.ingest.batch import StoredBatch
from server.ingest.counted import Counted
from server.ingest.decode import FAULTS_NAMED, MEDIA, Decoded, Form, ItemFault, decode, faults_error
from server.ingest.lines.line import LogLine
from server.ingest.lines.line_intake import NO_LINES_TAKEN
from server.ingest.outcome import span
from server.ingest.received import HOT
from server.ingest.sent import SentBatch, without
from server.ingest.skew import SendingMachine
from server.ingest.throttle import Quota, Throttled
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OWN
from server.parts import Parts
from server.telemetry import metrics

KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Accepted(Struct):
    """What was stored, durably. With ?partial=true also what was not: the index of every such item, and
    what is wrong with the first 20; repeats of a request get the same, so it is kept and must be small.
    `stored`, in a 202: it is on the disk of the machine, and goes into the database once that is back."""

    accepted: int
    refused: list[ItemFault] | UnsetType = UNSET
    refused_indexes: list[int] | UnsetType = UNSET
    stored: Literal["spool"] | UnsetType = UNSET


class AskedPost(Struct):
    """What a POST says beside its body."""

    media: str  # its Content-Type
    uri: str  # path and query
    key: str | None  # its Idempotency-Key
    trial: bool  # a check sends it to be refused
    address: str  # who sends it, as far as it can be told
    receiver: str = HOT  # by which it comes
    timed: bool = True  # False: how long its outcomes took is not known


def answer(decoded: Decoded, partial: bool) -> bytes:
    """The body of a 201."""
    accepted, faults = len(decoded.outcomes), decoded.faults
    if not partial:
        return b'{"accepted":%d}' % accepted
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


class OutcomesPost:
    """What becomes of it. `identity` None: its sender was refused."""

    services: Mapping[str, int] | None = None  # what the batch carries, once it was read
    items: int | None = None
    faults = 0  # items that are refused where the others are stored
    fault = ""  # what is wrong with the first of them
    taken_us = 0  # when it was taken in, microseconds since 1970
    ahead_us = 0  # by so much the clock of the sender is ahead
    stored: int | None = None  # outcomes that it stored
    repeated = False  # it was answered as an earlier one was
    taken = NO_LINES_TAKEN  # of its log lines
    quota: Quota | None = None  # what the key may still send; None: there is no limit, or it was not asked

    def __init__(
        self,
        parts: Parts,
        identity: Identity | None,
        asked: AskedPost,
        body: bytes = b"",
        received: int = 0,
        *,
        lines: Sequence[LogLine] = (),
    ) -> None:
        self.parts = parts
        self.identity = identity
        self.asked = asked
        self.body = body  # decompressed; nothing else may hold it, so that it is gone once nobody needs it
        self.lines = lines  # log lines that go with them, as their service wrote them
        self.received = received  # bytes on the wire, as far as they have come
        self.key_id = identity.key_id if identity else 0

    @property
    def limits(self) -> Limits:
        return self.parts.settings.limits_for(self.key_id)

    async def store(self, partial: Callable[[], bool], let_go: Callable[[], None]) -> StoredBatch:
        """Store what came; raises ApiError. `partial`: the good items of a batch that has faults are to be stored.

        `let_go` is called once the body is gone, before the wait for the commit where it need not stay.
        """
        try:
            sent, counted = await self.read(partial)
            if not sent.body:
                let_go()
            stored = await self.durable(sent, counted)
        except Throttled as error:
            self.quota = error.quota
            raise
        except Exception:
            await self.give_back()
            raise
        if stored.repeated:
            self.repeated = True
            await self.give_back()
        else:
            self.stored = sent.items
            self.count_accepted(sent, counted, stored)
        return stored

    async def durable(self, sent: SentBatch, counted: Counted | None) -> StoredBatch:
        """Store it; returns once it is durable."""
        return await self.parts.intake.store(sent, counted)

    async def read(self, partial: Callable[[], bool]) -> tuple[SentBatch, Counted | None]:
        """Decode and count, within the limits in force. What was decoded is gone before the wait for the commit;
        with a spool the body stays."""
        limits, intake = self.limits, self.parts.intake
        form = self.form()
        await intake.turns.next(len(self.body))
        decoded = self.decoded(self.body, form, limits.ingest_max_batch_items)
        asks_partial = partial()
        if decoded.faults and not asks_partial:
            raise faults_error(decoded.faults, decoded.items)
        await self.meter(decoded.items, limits)
        sent = self.sent(decoded, form, asks_partial)
        if self.lines:
            self.taken = await intake.lines.admit(self.lines, self.refuses, self.taken_us)
            sent.lines, self.lines = self.taken.kept, ()
        self.body = b""
        if intake.spool is None:
            sent.body = b""
        return sent, await intake.counted(decoded, sent)

    async def meter(self, items: int, limits: Limits) -> None:
        """Take them of the key's rate, where it has one. Raises Throttled."""
        if limits.ingest_max_items_per_second:
            self.quota = await self.parts.intake.throttle.admit(self.key_id, items, limits.ingest_max_items_per_second)

    def body_digest(self) -> bytes:
        """16 bytes by which the body is known that an Idempotency-Key came with."""
        return digest(self.body)

    @property
    def headers(self) -> dict[str, str]:
        """The answer's own, once it is known."""
        replayed = {"Idempotent-Replayed": "true"} if self.repeated else {}
        return replayed | (self.quota.headers if self.quota else {})

    def form(self) -> Form:
        media = self.asked.media.partition(";")[0].strip().lower()
        form = MEDIA.get(media)
        if form is None:
            raise ApiError(
                "UNSUPPORTED_MEDIA_TYPE", "Send application/json or application/x-ndjson. Nothing was stored."
            )
        return form

    def sent(self, decoded: Decoded, form: Form, partial: bool) -> SentBatch:
        """The batch as it was admitted."""
        key, body = self.asked.key, self.body
        faulty = {fault.index for fault in decoded.faults}
        random = os.urandom(26)
        return SentBatch(
            body=without(body, form, faulty) if faulty else body,
            form="array" if faulty else form,
            at=self.taken_us,
            ahead_us=self.ahead_us,
            key_id=self.key_id,
            bound=bool(self.identity and self.identity.services),
            keep_rows=self.limits.ingest_store_outcomes,
            random=random[:10],
            items=len(decoded.outcomes),
            answer=answer(decoded, partial),
            digest=random[10:] if key is None else claimed(key, f"{self.key_id} {self.asked.uri}"),
            body_digest=b"" if key is None else self.body_digest(),
            keyed=key is not None,
            timed=self.asked.timed,
        )

    def decoded(self, body: bytes, form: Form, items_max: int) -> Decoded:
        taken = span(shared_clock.now(), self.parts.env.outcome_retention_days)
        self.taken_us = taken.now
        decoded = decode(body, form, taken, items_max, self.refuses)
        self.items, self.faults = decoded.items, len(decoded.faults)
        if decoded.faults:
            first = decoded.faults[0]
            self.fault = f"Item {first.index}, {first.field}: {first.reason}."
        self.services = {service: n for service, n in decoded.services.items() if not self.refuses(service)}
        if decoded.items > items_max:
            raise too_many(items_max, decoded.items)
        sender = SendingMachine(self.key_id, self.asked.address)
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
        """Nothing came of what was taken of the key's rate, and of the bytes of a day."""
        self.parts.intake.lines.give_back(self.taken.kept, self.taken_us)
        if self.quota is not None:
            self.quota = await self.parts.intake.throttle.give_back(self.key_id, self.items or 0, self.quota)

    def count_accepted(self, sent: SentBatch, counted: Counted | None, stored: StoredBatch) -> None:
        intake = self.parts.intake
        services = self.services or {} if counted is None or stored.spooled else counted.services
        intake.accepted(self.key_id, services, sent.items, self.received, self.ahead_us)
        metrics.lines_taken(len(self.taken.kept), self.taken.refused, self.taken.over, self.taken.old)
        if self.faults or self.taken.refused:
            bad = self.faults + self.taken.refused
            intake.refused_items(self.key_id, "INVALID", bad, self.asked.receiver, self.fault)

    def count_refusal(self, error: ApiError) -> None:
        """What is refused is counted, and whose it was."""
        sent = error.extra["sent"] if error.code == "PAYLOAD_TOO_LARGE" else self.received
        # What a check sends too much of is nobody's traffic: no service becomes partial by it.
        key_id = 0 if self.asked.trial and not self.services else self.key_id
        self.parts.intake.refused(key_id, self.services or None, error.code, self.items, sent)
