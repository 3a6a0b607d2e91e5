"""Points of histograms in: which count, and how what they count is stored once.

A point that counts since the one before is counted once by itself, and may wait in the spool. One that counts since
its start goes on a meter, which moves in the transaction that counts the difference; while the database is away it is
refused, and nothing is lost: the next one has it all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from server.auth.identity import Identity
from server.ingest.batch import Metered
from server.ingest.decode import ItemFault
from server.ingest.intake import METERED_AWAY
from server.ingest.item_claims import item_of
from server.ingest.outcome import Outcome
from server.ingest.post import digest
from server.ingest.telemetry import meter_store as store
from server.ingest.telemetry.receiving import HandedIn, Incoming, ReceivedOutcomes, may_send, receive
from server.kernel import shared_clock
from server.kernel.db import AWAY, why_away
from server.kernel.errors import ApiError
from server.parts import Parts
from server.receivers.otlp.histogram import total
from server.receivers.otlp.measured import (
    Aside,
    Counting,
    MeasuredBuckets,
    answered,
    bounds_of,
    chosen,
    error_of,
    measured_of,
)
from server.receivers.otlp.meters import MeterReading, ReadMeter, readings
from server.receivers.otlp.points import BadPoint, MetricPoint, digest_of

WHY_ASIDE: dict[Aside, str] = {
    "SPANS_COUNT": "its spans count, so its histograms do not.",
    "SCOPE_COUNTS_WRONG": "what fills this histogram counts some requests twice. Send spans.",
    "SCOPE_NOT_KNOWN": "nobody has tried whether what fills this histogram counts every request once. Send spans.",
    "OTHER_METRIC": "the other duration of the same source counts.",
}
ITEMS = 1_000  # outcomes of one batch, or those of one point


async def receive_points(
    parts: Parts, identity: Identity, incoming: Incoming, sent: Sequence[MetricPoint | BadPoint]
) -> ReceivedOutcomes:
    """Store what points count; returns once it is durable. Raises ApiError as POST /api/v1/outcomes does."""
    intake, key_id = parts.intake, identity.key_id
    told = [point for point in sent if isinstance(point, MetricPoint)]
    spans = await intake.sources.span_services({point.source.process.service for point in told})
    points = [point for point in told if may_send(identity, point.source.process.service)]
    bad = [
        point for point in sent if isinstance(point, BadPoint) or not may_send(identity, point.source.process.service)
    ]
    choice = chosen(points, lambda point: point.source.process.service in spans)
    deltas = [point for point in choice.points if not point.cumulative]
    found = await hand_in_each(parts, identity, incoming, deltas_of(deltas), deltas)
    cumulative = [point for point in choice.points if point.cumulative]
    if cumulative:
        found += await receive_cumulative(parts, identity, incoming, cumulative)
    received = together(found)
    for (service, reason), n in choice.aside.items():
        said = f"{service}: {WHY_ASIDE[reason]}"
        intake.received.add(shared_clock.now(), incoming.receiver, key_id, reason, requests=0, items=n, said=said)
    if bad:
        intake.refused_items(key_id, "INVALID", len(bad), incoming.receiver, fault_of(bad[0]).reason)
    received.faults += [fault_of(point) for point in bad]
    return received


def fault_of(point: MetricPoint | BadPoint) -> ItemFault:
    """What is wrong with a point that is refused."""
    if isinstance(point, BadPoint):
        return ItemFault(0, "point", f"of {point.service}: {point.reason}")
    return ItemFault(0, "service.name", f"is {point.source.process.service}, which this key may not send")


def together(found: Sequence[ReceivedOutcomes]) -> ReceivedOutcomes:
    """What became of the parts of a body."""
    return ReceivedOutcomes(
        sum(one.kept for one in found),
        [fault for one in found for fault in one.faults],
        any(one.spooled for one in found),
        all(one.repeated for one in found),
        found[-1].quota if found else None,
    )


def deltas_of(points: Iterable[MetricPoint]) -> Iterator[HandedIn]:
    """What points count that count since the one before, each once by itself; about as much at once as a batch has."""
    outcomes: list[Outcome] = []
    claims, abandoned = bytearray(), Counter[str]()
    for point in points:
        counting = Counting(point, point.histogram, point.start or point.time)
        known_by = digest_of(point.series.hex(), point.time)
        for place, outcome in enumerate(outcomes_of(counting, abandoned)):
            outcomes.append(outcome)
            claims += item_of(point.time // 1_000_000_000, digest(b"%b %d" % (known_by, place))[:12])
        if len(outcomes) >= ITEMS:
            yield HandedIn(outcomes, bytes(claims), abandoned, keep_rows=False)
            outcomes, claims, abandoned = [], bytearray(), Counter()
    if outcomes or abandoned:
        yield HandedIn(outcomes, bytes(claims), abandoned, keep_rows=False)


def outcomes_of(counting: Counting, abandoned: Counter[str]) -> Iterator[Outcome]:
    """What a point has counted, or how many were abandoned."""
    process, was = counting.point.source.process, answered(counting.point)
    if was.status is None:
        abandoned[process.service] += total(counting.histogram)
        return
    for one in measured_of(counting):
        yield Outcome(
            service=process.service,
            route=was.route,
            method=was.method,
            status=was.status,
            duration_ms=one.duration_ms,
            timestamp=one.at,
            version=process.version,
            weight=one.weight,
            within_ms=one.within,
        )


async def receive_cumulative(
    parts: Parts, identity: Identity, incoming: Incoming, points: Sequence[MetricPoint]
) -> list[ReceivedOutcomes]:
    """Store what points count that count since their start. ApiError UNAVAILABLE while the database is away."""
    asked = [(point.series, point.source.digest, point.source.process.service) for point in points]
    try:
        async with parts.db.ask() as connection:
            known = await store.known_meters(connection, asked)
        if known.unheard:
            async with parts.db.act() as connection:
                await store.hear(connection, known.unheard)
    except AWAY as error:
        raise ApiError("UNAVAILABLE", f"{why_away(error)} {METERED_AWAY}", retry_after=1) from error
    return await hand_in_each(parts, identity, incoming, metered_of(readings(points, known)), points)


async def hand_in_each(
    parts: Parts, identity: Identity, incoming: Incoming, each: Iterable[HandedIn], points: Sequence[MetricPoint]
) -> list[ReceivedOutcomes]:
    """Store what these points count, one after another, and note how exact it is."""
    bounds, received = bounds_of(points), list[ReceivedOutcomes]()
    for number, handed in enumerate(each):
        own = replace(incoming, digest=digest(incoming.digest + mark_of(handed, number)))
        received.append(await receive(parts, identity, own, handed))
        told: dict[str, list[tuple[float, int, tuple[float, float] | None]]] = {}
        for one in handed.outcomes:
            told.setdefault(one.service, []).append((one.duration_ms, one.weight, one.within_ms))
        await parts.intake.sources.note_histograms(
            {service: MeasuredBuckets(error_of(those), bounds[service]) for service, those in told.items()}
        )
    return received


def mark_of(handed: HandedIn, number: int) -> bytes:
    """What tells a part of a body from its others. Where a part was stored before, its readings are not read again, and
    those that are left come in parts of other numbers."""
    if handed.metered is None:
        return b"deltas %d" % number
    return b"".join(b"%b %d %d" % (one.series, one.before, one.time) for one in handed.metered.readings)


def metered_of(read: Iterable[ReadMeter]) -> Iterator[HandedIn]:
    """Readings with what they count, so many at once that there are about as many outcomes as one batch has."""
    abandoned = Counter[str]()
    outcomes: list[Outcome] = []
    of_meters: list[MeterReading] = []
    of: list[int] = []
    for one in read:
        counted = list(outcomes_of(one.counting, abandoned)) if one.counting is not None else []
        of += [len(of_meters)] * len(counted)
        outcomes += counted
        of_meters.append(one.reading)
        if len(outcomes) + len(of_meters) >= ITEMS:
            yield HandedIn(outcomes, abandoned=abandoned, keep_rows=False, metered=Metered(of_meters, of))
            outcomes, of_meters, of, abandoned = [], [], [], Counter()
    if of_meters:
        yield HandedIn(outcomes, abandoned=abandoned, keep_rows=False, metered=Metered(of_meters, of))
