"""The recount: ledgers made anew from what is kept, a bounded part at a time, the newest first.

What is asked for: the whole of a ledger that the fold has just begun to add to, and
minutes in which some process did not measure the threshold of an objective. Each part
is one transaction of one snapshot that folds first, so that in it the rollups are all
outcomes that were ever acknowledged; what is counted after it, the fold adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel import shared_clock
from server.kernel.db import Database, Overtaken
from server.live import fold_store
from server.live.fold import Fold
from server.slo.ledger import rebuild_store
from server.slo.ledger import recount_store as store
from server.slo.ledger.ledger import Ledger
from server.slo.ledger.ledger_store import HOURS_KEPT_DAYS, MINUTES_KEPT_DAYS
from server.slo.ledger.recount_store import Asked, Weight
from server.slo.model.objective import Objective

EVERY_S = 1.0
BUSY_S = 0.5  # then the fold has its turn
OUTCOMES = 100_000  # in one part: some tenths of a second
HOURS_AT_ONCE = 24  # looked at for a part
DAYS_AT_ONCE = 30  # of hours whose minutes are gone
MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400


def oldest(now: float, days: int) -> int:
    """The first whole hour of which everything is kept, with an hour to spare for what ages out meanwhile."""
    return int(now - days * DAY_S) // HOUR_S * HOUR_S + 2 * HOUR_S


def part_start(weights: Sequence[Weight], unit_s: int, kind: str) -> int:
    """Where a part begins that has at most OUTCOMES to go through, or one unit; `weights` newest first."""
    total, start = 0, weights[0].at
    for weight in weights:
        rows = weight.series * (unit_s // 60)
        total += weight.n if kind == "latency" else min(weight.n, rows)
        if total > OUTCOMES:
            break
        start = weight.at
    return start


class Recount:
    """Recounts as a job of the watch."""

    def __init__(self, db: Database, fold: Fold, ledger: Ledger, clock: Callable[[], float] = shared_clock.now) -> None:
        self.db = db
        self.fold = fold
        self.ledger = ledger
        self.clock = clock

    def given(self) -> dict[str, object]:
        """What `recount_store.ASKED` depends on: the ledgers that are to be added to."""
        return {"recounted": [objective.id for objective in self.ledger.policies.objectives]}

    async def run(self, term: int) -> None:
        """Recount parts of what is asked for, for about half a second; Fenced where the term has passed.

        A ledger that was just begun is asked for here where no delta comes that would have the fold ask for it.
        """
        deadline = time.monotonic() + BUSY_S
        while await self.once(term) and time.monotonic() < deadline:
            pass

    async def once(self, term: int) -> bool:
        """Recount one part in one transaction; whether there may be more. False where another transaction came between:
        then nothing was changed."""
        try:
            async with self.db.rewrite() as connection:
                await fold_store.alone(connection)
                if await self.fold.within(connection, term):
                    return True  # a backlog: first all of it
                await self.ledger.follow(connection)
                asked = await store.next_asked(connection)
                if asked is not None:
                    await self.part(connection, asked)
                return asked is not None
        except Overtaken:
            return False

    async def part(self, connection: AsyncConnection, asked: Asked) -> None:
        """Recount the next part of what is asked for: by the minute where minutes are kept, else by the hour."""
        objective = next((o for o in self.ledger.policies.objectives if o.id == asked.objective_id), None)
        if objective is None:
            await store.finish(connection, asked, self.clock())
            return
        newest = await store.newest_hour(connection, objective.service, asked.stop)
        if newest is None or newest + HOUR_S <= asked.start:
            await self.finish(connection, asked, objective)
        elif newest >= oldest(self.clock(), MINUTES_KEPT_DAYS):
            await self.by_minute(connection, asked, objective, newest)
        elif objective.kind == "availability":
            await self.by_hour(connection, asked, objective, newest)
        else:
            await self.finish(connection, asked, objective)

    async def by_minute(self, connection: AsyncConnection, asked: Asked, objective: Objective, newest: int) -> None:
        """Recount a part whose minutes are kept, up to the end of hour `newest`."""
        stop = min(asked.stop, newest + HOUR_S)
        start = max(asked.start, await self.start(connection, objective, newest, stop))
        unproven = None
        if objective.kind == "latency":
            async with self.db.rows_beside(connection) as rows:
                unproven = await rebuild_store.measure(connection, rows, objective, start, stop)
        await rebuild_store.minutes(connection, objective, start, stop)
        await rebuild_store.left_out(connection, [objective], start, stop)
        if unproven is None:
            await self.advance(connection, asked, objective, start)
        else:
            await store.end(connection, asked, unproven + MINUTE_S)

    async def start(self, connection: AsyncConnection, objective: Objective, newest: int, stop: int) -> int:
        """Where the part that ends at `stop` begins."""
        first = max(newest - (HOURS_AT_ONCE - 1) * HOUR_S, oldest(self.clock(), MINUTES_KEPT_DAYS))
        hours = await store.weights(connection, objective.service, first, stop)
        if hours[0].n <= OUTCOMES:
            return part_start(hours, HOUR_S, objective.kind)
        minutes = await store.weights(connection, objective.service, newest, stop, by_minute=True)
        return part_start(minutes, MINUTE_S, objective.kind) if minutes else newest

    async def by_hour(self, connection: AsyncConnection, asked: Asked, objective: Objective, newest: int) -> None:
        """Recount a part of which only hours are kept, up to the end of hour `newest`."""
        start = max(asked.start, newest - DAYS_AT_ONCE * DAY_S, oldest(self.clock(), HOURS_KEPT_DAYS))
        await rebuild_store.hours(connection, objective, start, newest + HOUR_S)
        await self.advance(connection, asked, objective, start)

    async def advance(self, connection: AsyncConnection, asked: Asked, objective: Objective, start: int) -> None:
        """Note that all from `start` on is recounted."""
        if start <= asked.start:
            await self.finish(connection, asked, objective)
        else:
            await store.advance(connection, asked, start)

    async def finish(self, connection: AsyncConnection, asked: Asked, objective: Objective) -> None:
        """Note that all that is kept is recounted, and how far back that is exact.

        What exclusions take out is known by the minute only.
        """
        minutes, hours = (oldest(self.clock(), days) for days in (MINUTES_KEPT_DAYS, HOURS_KEPT_DAYS))
        if objective.kind == "latency":
            hours = minutes
        excluded = await store.excluded_before(connection, objective.service, minutes)
        await store.finish(connection, asked, max(asked.start, hours, excluded or 0))
