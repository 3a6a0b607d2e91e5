"""The past of an objective, for its page and the API: the budget by the hour, the worst stretches, the months."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import Instant, utc
from server.slo.ledger import history, ledger_store, months
from server.slo.ledger.history import Day, Left, Stretch
from server.slo.ledger.months import Month, Period
from server.slo.ledger.recount_store import exactness
from server.slo.ledger.spans import granularity_of
from server.slo.model.counts import Counts
from server.slo.model.objective import Objective

STRETCHES = 5
MONTHS = 3
PERIODS = 4
DAY_S = 86_400


class Past(Struct):
    """The window that ends at `end`. `exact_since`: from then on every outcome is counted exactly; with `recounting`,
    older ones still will be."""

    end: Instant
    exact_since: Instant
    recounting: bool
    points: list[Left]
    days: list[Day]
    stretches: list[Stretch]
    spread: int  # failures of the window outside of those stretches
    months: list[Month]  # newest first; those of which nothing was counted are left out
    periods: list[Period]  # of the objective's calendar, newest first; empty where its window rolls


async def past(connection: AsyncConnection, objective: Objective, now: float) -> Past:
    """The past of an objective up to `now`, Unix seconds, from one snapshot."""
    allowed, window_s = objective.allowed, objective.window_s
    names = months.latest(now, MONTHS)
    first = min(int(now) - (PERIODS if objective.calendar else 2) * window_s, months.bounds(names[-1])[0])
    slots = await ledger_store.hours(connection, objective.id, history.whole_hour(first), now)
    start = history.whole_hour(now - window_s)
    points = history.over_time(slots, objective.begins_before, allowed, start, now)
    began = history.whole_hour(objective.begins(now))
    whole = months.sum_of(slot.deciding for slot in slots if slot.start >= began)
    worst = await stretches(connection, objective, began, now, whole=whole, now=now)
    failed = sum(point.bad for point in points if point.end > utc(began))
    found = [months.month_of(name, slots, allowed) for name in names]
    exact = (await exactness(connection, [objective.id], now))[objective.id]
    return Past(
        end=utc(now),
        exact_since=utc(exact.since),
        recounting=exact.recounting,
        points=points,
        days=history.by_day(points, allowed),
        stretches=worst,
        spread=failed - sum(one.bad for one in worst),
        months=[month for month in found if month.spent_without_exclusions is not None],
        periods=months.periods_of(objective.calendar, slots, allowed, now) if objective.calendar else [],
    )


async def stretches(
    connection: AsyncConnection, objective: Objective, start: int, end: float, *, whole: Counts, now: float
) -> list[Stretch]:
    """What spent most of the budget of [start, end), worst first, by the minute where all its minutes are kept.

    `whole` is what the span has counted.
    """
    allowed = objective.allowed
    unit = granularity_of(start, now)
    found = await ledger_store.stretches(
        connection, objective.id, start, end, unit=unit, ratio=history.hot_ratio(allowed), many=STRETCHES
    )
    worst = [
        Stretch(utc(a), utc(min(b, end)), c.bad, c.total, history.share_of(c.bad, whole, allowed)) for a, b, c in found
    ]
    return [one for one in worst if one.share >= history.LEAST_SHARE]
