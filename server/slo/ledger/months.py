"""Calendar months in UTC, and what one spent: a budget of its own, that begins anew with each month."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction

from msgspec import Struct

from server.slo.ledger.history import HistorySlot, share_of
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


def month_of(name: str, slots: Iterable[HistorySlot], allowed: Fraction) -> Month:
    """What one month counted and spent."""
    start, end = bounds(name)
    inside = [slot for slot in slots if start <= slot.start < end]
    counts = sum_of(slot.deciding for slot in inside)
    out = sum_of(slot.left_out for slot in inside)
    return Month(name, counts.good, counts.bad, out.total, spent(counts, allowed), spent(counts.plus(out), allowed))


def spent(counts: Counts, allowed: Fraction) -> float | None:
    """The share of the budget that was spent. None: nothing was counted."""
    return share_of(counts.bad, counts, allowed) if counts.total else None


def sum_of(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    whole = NOTHING
    for one in counts:
        whole = whole.plus(one)
    return whole
