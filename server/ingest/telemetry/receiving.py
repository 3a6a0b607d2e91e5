"""How receivers hand in what they made of a body: on the way of POST /api/v1/outcomes, and counted once.

A receiver's body becomes JSON arrays of outcomes, as if they had been sent to the hot address, so that spool, replay,
limits, caps and counted refusals are the same for all. What is wrong with an outcome refuses that one alone. There is
no limit on items: what is more than a batch may have is stored in several. Each of them has an Idempotency-Key of its
own, of the body as it was sent, so a body that is sent again is counted once, also where only a part of it was stored.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec import Struct, field

from server.auth.identity import Identity
from server.config.registry import Limits
from server.http.failures import as_api_error
from server.ingest.batch import Metered, StoredBatch
from server.ingest.counted import Counted
from server.ingest.decode import ITEMS_MAX, Decoded, Form, ItemFault
from server.ingest.item_claims import ITEM_BYTES, items_without
from server.ingest.lines.line import LogLine
from server.ingest.lines.line_intake import NO_LINES_TAKEN, TakenLines
from server.ingest.outcome import Outcome
from server.ingest.post import AskedPost, OutcomesPost
from server.ingest.sent import SentBatch
from server.ingest.throttle import Quota, Throttled
from server.kernel.names import OWN
from server.parts import Parts
from server.tables.detail import SAME

AT_ONCE = 10_000  # outcomes on their way into the database: what is more waits for them

encode = msgspec.json.Encoder().encode


class Incoming(Struct):
    """How a body came to a receiver."""

    receiver: str  # by which it comes: server/ingest/received.py
    path: str  # its address; with the key and the digest it says what is the same again
    digest: bytes  # of the body as it was sent, decompressed, or of what its sender marks repeats with
    address: str  # who sent it, as far as it can be told
    received: int = 0  # bytes on the wire


class HandedIn(Struct):
    """What a receiver made of a body. `item_claims` has 16 bytes for each outcome where it is counted once by itself
    (server/ingest/item_claims.py), else it is empty. `abandoned`: requests without an answer, by service. What is
    `metered` is stored as one batch, and not while the database is away. `lines` go with the first batch."""

    outcomes: Sequence[Outcome]
    item_claims: bytes = b""
    abandoned: Mapping[str, int] = field(default_factory=dict)
    keep_rows: bool = True  # raw outcomes, where they are kept at all
    metered: Metered | None = None
    lines: Sequence[LogLine] = ()
    timed: bool = True  # False: what took how long is not known


class ReceivedOutcomes(Struct):
    """What became of it. `faults`: outcomes that were refused, with their place in all that were handed in."""

    kept: int
    faults: list[ItemFault]
    spooled: bool  # some of it waits on this machine's disk
    repeated: bool  # all of it came before
    quota: Quota | None = None  # what the key may still send
    lines: TakenLines = NO_LINES_TAKEN


async def receive(parts: Parts, identity: Identity, incoming: Incoming, handed: HandedIn) -> ReceivedOutcomes:
    """Store what was handed in; returns once it is durable.

    Raises ApiError as POST /api/v1/outcomes does, once it is counted as a refusal. What was stored before it is known:
    sent again, it is not counted again.
    """
    most = parts.settings.limits_for(identity.key_id).ingest_max_batch_items
    posts = in_parts(parts, identity, incoming, handed, most)
    quota = await meter(parts, identity, incoming, handed.outcomes)
    try:
        stored = await store_in_turn(posts, max(1, AT_ONCE // most))
    finally:
        unused = sum(post.size for post in posts if post.stored is None)
        if quota is not None and unused:
            quota = await parts.intake.throttle.give_back(identity.key_id, unused, quota)
    repeated = bool(stored) and all(one.repeated for one in stored)
    if not repeated:
        abandoned = {service: n for service, n in handed.abandoned.items() if may_send(identity, service)}
        parts.intake.abandoned(identity.key_id, abandoned, incoming.receiver)
    faults = [fault for post in posts for fault in post.found]
    return ReceivedOutcomes(
        len(handed.outcomes) - len(faults),
        faults,
        any(one.spooled for one in stored),
        repeated,
        quota,
        posts[0].taken if posts else NO_LINES_TAKEN,
    )


def may_send(identity: Identity, service: str) -> bool:
    """Whether the key may say anything of a service: else what is beside outcomes must not be noted of it either."""
    return service != OWN and identity.may_touch(service)


async def meter(parts: Parts, identity: Identity, incoming: Incoming, outcomes: Sequence[Outcome]) -> Quota | None:
    """Take all of them of the key's rate at once, where it has one. Raises Throttled."""
    per_second = parts.settings.limits_for(identity.key_id).ingest_max_items_per_second
    if not per_second or not outcomes:
        return None
    try:
        return await parts.intake.throttle.admit(identity.key_id, len(outcomes), per_second)
    except Throttled as error:
        services = Counter(outcome.service for outcome in outcomes)
        parts.intake.refused(identity.key_id, services, error.code, len(outcomes), incoming.received)
        raise


async def store_in_turn(posts: Sequence[PartPost], at_once: int) -> list[StoredBatch]:
    """Store them, so many at once; the first error after those that were stored with it."""
    stored: list[StoredBatch] = []
    for begin in range(0, len(posts), at_once):
        together = posts[begin : begin + at_once]
        found = await asyncio.gather(*(post.keep() for post in together), return_exceptions=True)
        errors = [one for one in found if isinstance(one, BaseException)]
        if errors:
            raise errors[0]
        stored += [one for one in found if isinstance(one, StoredBatch)]
    return stored


def in_parts(parts: Parts, identity: Identity, incoming: Incoming, handed: HandedIn, most: int) -> list[PartPost]:
    """One post for each batch of at most so many outcomes; one without any where there is none."""
    total = len(handed.outcomes)
    bounds = [*range(0, total, most), total] if total or not (handed.abandoned or handed.lines) else [0, 0]
    if handed.metered is not None:
        bounds = [0, total]
    posts: list[PartPost] = []
    for begin, end in pairwise(bounds):
        posts.append(PartPost(parts, identity, incoming, handed, slice(begin, end)))
    return posts


class PartPost(OutcomesPost):
    """One batch of what was handed in."""

    def __init__(self, parts: Parts, identity: Identity, incoming: Incoming, handed: HandedIn, part: slice) -> None:
        # With its bounds: where a limit has changed since, other outcomes have the same number.
        key = f"{incoming.digest.hex()}-{part.start}-{part.stop}"
        asked = AskedPost("application/json", incoming.path, key, False, incoming.address, incoming.receiver)
        self.size = part.stop - part.start
        share = incoming.received * self.size // len(handed.outcomes) if handed.outcomes else incoming.received
        lines = () if part.start else handed.lines
        super().__init__(parts, identity, asked, received=share, lines=lines)
        self.handed = handed
        self.part = part
        self.found: list[ItemFault] = []
        self._body_digest = incoming.digest

    async def keep(self) -> StoredBatch:
        """Store it; what is refused is counted. Raises ApiError."""
        outcomes = self.handed.outcomes[self.part]
        for outcome in outcomes:
            if outcome.trace_id == outcome.request_id and outcome.trace_id is not None:
                outcome.trace_id = SAME
        self.body = encode(outcomes)
        try:
            return await self.store(lambda: True, lambda: None)
        except Exception as error:
            self.count_refusal(as_api_error(error, 500))
            raise

    async def meter(self, items: int, limits: Limits) -> None:
        """All parts were metered together."""

    def body_digest(self) -> bytes:
        return self._body_digest

    def decoded(self, body: bytes, form: Form, items_max: int) -> Decoded:
        return super().decoded(body, form, ITEMS_MAX if self.handed.metered else items_max)

    async def durable(self, sent: SentBatch, counted: Counted | None) -> StoredBatch:
        metered = self.handed.metered
        if metered is None:
            return await super().durable(sent, counted)
        faulty = {fault.index for fault in self.found}
        kept = [reading for place, reading in enumerate(metered.of) if place not in faulty]
        return await self.parts.intake.store(sent, counted, Metered(metered.readings, kept))

    def sent(self, decoded: Decoded, form: Form, partial: bool) -> SentBatch:
        sent = super().sent(decoded, form, partial)
        sent.keep_rows = sent.keep_rows and self.handed.keep_rows
        begin = self.part.start
        self.found = [ItemFault(begin + fault.index, fault.field, fault.reason) for fault in decoded.faults]
        claims = self.handed.item_claims[ITEM_BYTES * begin : ITEM_BYTES * self.part.stop]
        sent.timed = self.handed.timed
        sent.item_claims = (
            items_without(claims, {fault.index for fault in decoded.faults}) if decoded.faults else claims
        )
        return sent
