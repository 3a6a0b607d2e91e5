"""Spans of time that are asked for: a calendar month, or from one minute to another; each an exact sum.

Minutes are kept for 35 days; a span that begins before them is made of whole hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.errors import invalid
from server.kernel.times import instant
from server.slo.ledger import ledger_store as store
from server.slo.ledger import months
from server.slo.ledger.ledger_store import Granularity
from server.slo.model.counts import NOTHING, Counts, Tally
from server.slo.model.objective import Objective

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400


class Span(NamedTuple):
    """[start, stop) in Unix seconds, whole units of its granularity, except that it ends now at the latest."""

    start: int
    stop: int
    granularity: Granularity


class Split(NamedTuple):
    """What was counted: what decides, and what exclusions take out of it."""

    counts: Counts = NOTHING
    left_out: Counts = NOTHING

    @property
    def counted(self) -> Counts:
        """With nothing taken out."""
        return self.counts.plus(self.left_out)


def granularity_of(start: int, now: float) -> Granularity:
    """How finely a span that begins at `start` can be counted: by the minute while minutes are kept."""
    return "minute" if start >= now - (store.MINUTES_KEPT_DAYS - 1) * DAY_S else "hour"


def span_of(start: float, stop: float, now: float) -> Span:
    """[start, stop) widened to whole units, up to now."""
    granularity = granularity_of(int(start), now)
    unit = MINUTE_S if granularity == "minute" else HOUR_S
    first, last = int(start // unit * unit), int(-(-stop // unit) * unit)
    return Span(first, min(last, int(now) + 1), granularity)


def month_span(name: str, now: float) -> Span:
    """A calendar month in UTC, `2026-11`, up to now. ApiError INVALID for what is none, or is ahead or gone."""
    try:
        start, stop = months.bounds(name)
    except ValueError:
        raise invalid("month", "is a year and a month, as in 2026-11") from None
    if not now - store.HOURS_KEPT_DAYS * DAY_S <= start <= now:
        raise invalid("month", f"has begun and is kept: hours are kept for {store.HOURS_KEPT_DAYS} days")
    return span_of(start, stop, now)


def asked_span(start: str, stop: str, now: float) -> Span:
    """`from` and `to` as they were sent; `to` is now where it is left out. ApiError INVALID."""
    if not start:
        raise invalid("from", "is needed where `to` is given")
    first = instant("from", start).timestamp()
    last = instant("to", stop).timestamp() if stop else now
    if not now - store.HOURS_KEPT_DAYS * DAY_S <= first < min(last, now):
        raise invalid("from", f"is before `to` and before now; hours are kept for {store.HOURS_KEPT_DAYS} days")
    return span_of(first, last, now)


async def read(connection: AsyncConnection, objectives: Sequence[Objective], span: Span) -> dict[int, Split]:
    """What each objective counted in a span, by the number of its ledger; `connection` holds one snapshot."""
    ids = [objective.id for objective in objectives]
    sums = await store.sums(connection, ids, span.start, span.stop)
    out = await store.left_out(connection, ids, [span.start], span.stop)
    services = sorted({objective.service for objective in objectives})
    fresh = await store.after(connection, [(await store.cursors(connection), services)])
    found = {}
    for objective in objectives:
        left_out = out.get((objective.id, span.start), NOTHING)
        ledger = Split(sums.get(objective.id, NOTHING).without(left_out), left_out)
        found[objective.id] = with_fresh(ledger, objective, span, fresh)
    return found


def with_fresh(ledger: Split, objective: Objective, span: Span, fresh: store.Fresh) -> Split:
    """The ledger's counts and what is not in it yet."""
    counts, left_out = ledger
    for (service, minute, excluded, _), tally in fresh.items():
        if service == objective.service and span.start <= minute < span.stop:
            counts, left_out = added(counts, left_out, objective, tally, excluded=excluded)
    return Split(counts, left_out)


def added(
    counts: Counts, left_out: Counts, objective: Objective, tally: Tally, *, excluded: bool
) -> tuple[Counts, Counts]:
    """The counts, and what exclusions take out, with one tally added to either."""
    new = tally.counts(objective)
    return (counts, left_out.plus(new)) if excluded else (counts.plus(new), left_out)
