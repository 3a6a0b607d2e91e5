"""Calendar months in UTC, and what one spent: a budget of its own, that begins anew with each month."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from msgspec import Struct

from server.kernel.times import Instant, utc
from server.slo.ledger.history import HOUR_S, HistorySlot, share_of
from server.slo.model.calendar import Calendar
from server.slo.model.counts import NOTHING, Counts

MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])", re.ASCII)


class Month(Struct):
    """One month of an objective. `spent` null: nothing was counted."""

    month: str  # 2026-11
    good: int
    bad: int
    left_out: int  # taken out by exclusions, good and bad
    spent: float | None  # the share of what the month's traffic allows; above 1 it is overspent
    spent_without_exclusions: float | None


def name_of(at: float) -> str:
    """The month that a time is in: `2026-11`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def bounds(name: str) -> tuple[int, int]:
    """When a month begins and when the next one does, Unix seconds; ValueError for what is no month."""
    found = MONTH.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no month")
    year, month = int(found[1]), int(found[2])
    next_ = (year + 1, 1) if month == 12 else (year, month + 1)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()), int(datetime(*next_, 1, tzinfo=UTC).timestamp())


def before(name: str) -> str:
    """The month before another."""
    return name_of(bounds(name)[0] - 1)


def latest(now: float, many: int) -> list[str]:
    """The month of now and those before it, newest first."""
    found = [name_of(now)]
    while len(found) < many:
        found.append(before(found[-1]))
    return found


class Period(Struct):
    """One period of an objective's calendar, by whole hours; the rest as of a month."""

    start: Instant
    end: Instant
    good: int
    bad: int
    left_out: int
    spent: float | None
    spent_without_exclusions: float | None


def month_of(name: str, slots: Iterable[HistorySlot], allowed: Fraction) -> Month:
    """What one month counted and spent."""
    counts, out = inside(slots, *bounds(name))
    return Month(name, counts.good, counts.bad, out.total, spent(counts, allowed), spent(counts.plus(out), allowed))


def periods_of(calendar: Calendar, slots: Sequence[HistorySlot], allowed: Fraction, now: float) -> list[Period]:
    """What the period of now and those before it counted and spent, as far back as there are slots, newest first."""
    found: list[Period] = []
    start, end = calendar.period(now)
    while slots and slots[0].start < end - end % HOUR_S:
        counts, out = inside(slots, start - start % HOUR_S, end - end % HOUR_S)
        both = spent(counts, allowed), spent(counts.plus(out), allowed)
        found.append(Period(utc(start), utc(end), counts.good, counts.bad, out.total, *both))
        start, end = calendar.period(start - 1)
    return found


def inside(slots: Iterable[HistorySlot], start: int, end: int) -> tuple[Counts, Counts]:
    """What decides of the slots that begin in [start, end), and what exclusions take out of them."""
    found = [slot for slot in slots if start <= slot.start < end]
    return sum_of(slot.deciding for slot in found), sum_of(slot.left_out for slot in found)


def spent(counts: Counts, allowed: Fraction) -> float | None:
    """The share of the budget that was spent. None: nothing was counted."""
    return share_of(counts.bad, counts, allowed) if counts.total else None


def sum_of(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    whole = NOTHING
    for one in counts:
        whole = whole.plus(one)
    return whole
