"""A budget over time: what was left of the rolling window at the end of each hour, and what spent most of it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from msgspec import Struct

from server.kernel.times import Instant, utc
from server.slo.model.budget import budget_left
from server.slo.model.counts import NOTHING, Counts

HOUR_S = 3600
DAY_S = 86_400
# A stretch is made of minutes that fail this many times as fast as the budget allows, or half of all that they can.
STRETCH_BURN = Fraction(3)
STRETCH_HALF = Fraction(1, 2)
LEAST_SHARE = 0.01  # of the budget: below that a stretch is not listed


class HistorySlot(NamedTuple):
    """What one hour or minute has counted, and what of that exclusions take out. Unix seconds."""

    start: int
    counts: Counts
    left_out: Counts = NOTHING

    @property
    def deciding(self) -> Counts:
        """What counts for the budget."""
        return self.counts.without(self.left_out)


class Left(Struct):
    """One hour and the budget at its end. `budget_left` null: nothing was counted in the window that ends there."""

    end: Instant
    good: int
    bad: int
    budget_left: float | None
    budget_left_without_exclusions: float | None


class Stretch(Struct):
    """Minutes, or hours, that failed one after the other, and the share of the budget that they spent."""

    start: Instant
    end: Instant
    bad: int
    total: int
    share: float


def over_time(
    slots: Sequence[HistorySlot], begins: Callable[[float], int], allowed: Fraction, start: int, end: float
) -> list[Left]:
    """The budget at the end of each hour of [start, end), the last one at `end`; `slots` are hours, rising.

    `begins` says when the window began that ends at a time.
    """
    points: list[Left] = []
    inside: deque[HistorySlot] = deque()
    deciding = every = NOTHING
    waiting = deque(slots)
    for hour in range(whole_hour(start), math.ceil(end), HOUR_S):
        stop = min(hour + HOUR_S, end)
        slot = HistorySlot(hour, NOTHING)
        while waiting and waiting[0].start <= hour:
            slot = waiting.popleft()
            inside.append(slot)
            deciding, every = deciding.plus(slot.deciding), every.plus(slot.counts)
        while inside and inside[0].start < whole_hour(begins(stop)):
            old = inside.popleft()
            deciding, every = deciding.without(old.deciding), every.without(old.counts)
        own = slot.deciding if slot.start == hour else NOTHING
        points.append(Left(utc(stop), own.good, own.bad, budget_left(deciding, allowed), budget_left(every, allowed)))
    return points


def whole_hour(at: float) -> int:
    """The hour that a time is in."""
    return int(at) // HOUR_S * HOUR_S


def hot_ratio(allowed: Fraction) -> Fraction:
    """The bad ratio from which a minute belongs to a stretch."""
    return min(STRETCH_BURN * allowed, STRETCH_HALF)


def share_of(bad: int, whole: Counts, allowed: Fraction) -> float:
    """The share of a budget that `bad` failures are, where `whole` was counted. 0 where nothing was."""
    return float(Fraction(bad) / (allowed * whole.total)) if whole.total else 0.0


class Day(Struct):
    """One UTC day of the window. `share` is of the whole budget, `budget_left` that of its last hour."""

    start: Instant
    good: int
    bad: int
    share: float
    budget_left: float | None


def by_day(points: Sequence[Left], allowed: Fraction) -> list[Day]:
    """The hours of each day together; `share` is of the budget of the whole span."""
    whole = Counts(sum(p.good for p in points), sum(p.bad for p in points))
    days: dict[int, Day] = {}
    for point in points:
        start = math.ceil(point.end.timestamp() - 1) // DAY_S * DAY_S
        day = days.setdefault(start, Day(utc(start), 0, 0, 0.0, None))
        day.good, day.bad, day.budget_left = day.good + point.good, day.bad + point.bad, point.budget_left
        day.share = share_of(day.bad, whole, allowed)
    return list(days.values())
