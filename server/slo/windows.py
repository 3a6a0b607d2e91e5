"""The counts of objectives over windows: the ledger, and what was committed after it.

A window of `w` seconds ends now and begins at a whole minute, at most one minute
early; beyond 28 days at a whole hour. The ledger is read every few seconds, together with the writers' cursors of
the same snapshot; what each writer committed after its cursor is read each time.
So every delta counts once: it is in the ledger of that snapshot, or after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from server.slo import ledger_store as store
from server.slo.counts import NOTHING, Counts
from server.slo.objective import Objective
from server.slo.tally import Tally

MINUTE_S = 60
HOUR_S = 3600
BY_MINUTE_S = 28 * 86_400  # the ledger's minutes are kept for 35 days, its hours for 400
REREAD_S = 5.0
REREAD_SHARE = 20  # reading the ledger takes at most a twentieth of the time, however long it is

ByWindow = dict[int, Counts]  # window in seconds -> counts


@dataclass(frozen=True, slots=True)
class Base:
    """The ledger as of one snapshot."""

    objectives: tuple[Objective, ...]
    at: float
    keep_s: float
    cursors: store.Cursors
    sums: Mapping[int, ByWindow]  # by objective id
    starts: Mapping[int, int]  # window -> its first minute, Unix seconds


class Windows:
    """The counts of each objective over `spans` seconds and over its own window."""

    def __init__(self, spans: Sequence[int]) -> None:
        self.spans = tuple(spans)
        self.base: Base | None = None

    async def read(
        self, connection: AsyncConnection, objectives: tuple[Objective, ...], now: float
    ) -> dict[int, ByWindow]:
        """By objective id and window; `connection` holds one snapshot."""
        base = self.base
        if base is None or base.objectives != objectives or not 0 <= now - base.at < base.keep_s:
            base = self.base = await read_base(connection, objectives, self.spans, now)
        services = {objective.service for objective in objectives}
        fresh = await store.after(connection, base.cursors, sorted(services))
        return {o.id: add_fresh(base.sums[o.id], fresh_of(o, fresh, now), base.starts) for o in objectives}


async def read_base(
    connection: AsyncConnection, objectives: tuple[Objective, ...], spans: Sequence[int], now: float
) -> Base:
    """Read the ledger over every window that is asked for."""
    began = time.monotonic()
    by_window: dict[int, list[Objective]] = {span: list(objectives) for span in spans}
    for objective in objectives:
        if objective.window_s not in spans:
            by_window.setdefault(objective.window_s, []).append(objective)
    starts = {window: first_minute(now, window) for window in by_window}
    sums: dict[int, ByWindow] = {objective.id: {} for objective in objectives}
    for window, asked in by_window.items():
        found = await store.sums(connection, [o.id for o in asked], starts[window], int(now) + 1)
        for objective in asked:
            sums[objective.id][window] = found.get(objective.id, NOTHING)
    cursors = await store.cursors(connection)
    keep_s = max(REREAD_S, REREAD_SHARE * (time.monotonic() - began))
    return Base(objectives, now, keep_s, cursors, sums, starts)


def first_minute(now: float, window_s: int) -> int:
    """The whole minute in which a window that ends now begins; beyond 28 days the whole hour."""
    start = int(now) - window_s
    return start - start % (HOUR_S if window_s > BY_MINUTE_S else MINUTE_S)


def fresh_of(objective: Objective, fresh: Mapping[tuple[str, int], Tally], now: float) -> list[tuple[int, Counts]]:
    """What is not in the ledger yet, by minute; minutes that lie ahead wait."""
    return [
        (minute, tally.counts(objective))
        for (service, minute), tally in fresh.items()
        if service == objective.service and minute <= now
    ]


def add_fresh(sums: ByWindow, fresh: Iterable[tuple[int, Counts]], starts: Mapping[int, int]) -> ByWindow:
    """The sums with each fresh minute added to the windows that it is in."""
    total = dict(sums)
    for minute, counts in fresh:
        for window, counted in total.items():
            if minute >= starts[window]:
                total[window] = counted.plus(counts)
    return total
