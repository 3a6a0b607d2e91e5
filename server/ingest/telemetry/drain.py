"""What a drain's body brings: requests as outcomes and log lines on the way of the hot address, changes, and losses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct, structs

from server.auth.identity import Identity
from server.ingest.item_claims import item_of
from server.ingest.lines.line import line_of
from server.ingest.lines.line_intake import NO_LINES_TAKEN, TakenLines
from server.ingest.outcome import Outcome
from server.ingest.post import digest
from server.ingest.telemetry.receiving import HandedIn, Incoming, ReceivedOutcomes, may_send, receive
from server.parts import Parts
from server.receivers.drained import Drained, DrainedRequest
from server.receivers.environment import NAME_MAX

HEROKU = "heroku"  # the only platform whose drains tell of changes
UNTIMED = b"untimed"  # what came without durations has another digest


class DrainTaken(Struct):
    """What became of it. `changes` were told for the first time; `refused` are outcomes that were not stored."""

    outcomes: int
    lines: int
    changes: int
    abandoned: int
    refused: int
    spooled: bool
    of_lines: TakenLines = NO_LINES_TAKEN  # those that are kept, and why others are not


async def take(parts: Parts, identity: Identity, incoming: Incoming, drained: Drained, request_id: str) -> DrainTaken:
    """Store all that a body says; returns once it is durable. Sent again, it changes nothing.

    Requests of which nobody knows how long they took are counted, but for their latency. Raises ApiError.
    """
    answered = [one for one in drained.requests if not one.abandoned]
    abandoned = Counter(one.service[:NAME_MAX] for one in drained.requests if one.abandoned)
    timed = [one for one in answered if one.duration_us is not None]
    untimed = [one for one in answered if one.duration_us is None]
    lines = [line_of(one) for one in drained.lines]
    found: list[ReceivedOutcomes] = []
    if timed or abandoned or lines:
        handed = handed_in(parts, timed)
        handed.abandoned, handed.lines = abandoned, lines
        found.append(await receive(parts, identity, incoming, handed))
    if untimed:
        incoming = structs.replace(incoming, digest=digest(incoming.digest + UNTIMED))
        handed = handed_in(parts, untimed)
        handed.timed = False
        found.append(await receive(parts, identity, incoming, handed))
    changes = await parts.told(HEROKU, drained.changes, identity, request_id)
    if found and not all(one.repeated for one in found):
        for lost in drained.lost:
            if may_send(identity, lost.service):
                parts.intake.lost(identity.key_id, lost)
    return taken(found, drained, changes)


def handed_in(parts: Parts, requests: Sequence[DrainedRequest]) -> HandedIn:
    """Requests as outcomes. Where one can be known in another body too, each has an item: those that cannot, a random
    one."""
    outcomes = [outcome(parts, one) for one in requests]
    if not any(one.known_by for one in requests):
        return HandedIn(outcomes)
    return HandedIn(
        outcomes, b"".join([item_of(one.at // 1_000_000, one.known_by or os.urandom(12)) for one in requests])
    )


def taken(found: Sequence[ReceivedOutcomes], drained: Drained, changes: int) -> DrainTaken:
    return DrainTaken(
        outcomes=sum(one.kept for one in found),
        lines=len(drained.lines),
        changes=changes,
        abandoned=sum(one.abandoned for one in drained.requests),
        refused=sum(len(one.faults) for one in found),
        spooled=any(one.spooled for one in found),
        of_lines=found[0].lines if found else NO_LINES_TAKEN,
    )


def outcome(parts: Parts, one: DrainedRequest) -> Outcome:
    """A request as if its service had sent it."""
    service = one.service[:NAME_MAX]
    return Outcome(
        service=service,
        route=parts.routes.route(service, one.target, one.status),
        method=one.method,
        status=one.status,
        duration_ms=(one.duration_us or 0) / 1000,
        timestamp=one.at / 1000,
        request_id=one.request_id,
        error=one.failed,
        error_class=one.error_class[:NAME_MAX] or None,
        instance=one.instance[:NAME_MAX] or None,
    )
