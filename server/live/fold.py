"""The fold: deltas into rollups and the ledger, once each.

One transaction locks the writers' cursors, checks the fencing term, adds and
advances. Whoever folds next, in whatever process, starts from the cursors that
were committed with the sums; so a crash anywhere leaves both or neither.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.live import fold_store as store
from server.live.deltas import Delta
from server.process.watch import require_term

EVERY_S = 2.0
ROWS = 20_000  # deltas in one transaction: about half a second of work
BUSY_S = 5.0  # a backlog is folded for this long before the watch looks round

Also = Callable[[AsyncConnection, Sequence[Delta]], Awaitable[None]]


class Fold:
    """Folds as a job of the watch. `also` joins each transaction: the ledger."""

    def __init__(self, db: Database, also: Also) -> None:
        self.db = db
        self.also = also

    async def run(self, term: int) -> None:
        """Fold what there is, a backlog for some seconds at most; Fenced where the term has passed."""
        deadline = time.monotonic() + BUSY_S
        while await self.once(term) and time.monotonic() < deadline:
            pass

    async def once(self, term: int) -> bool:
        """One transaction; whether it left a backlog."""
        async with self.db.act() as connection:
            await store.alone(connection)
            return await self.within(connection, term)

    async def within(self, connection: AsyncConnection, term: int) -> bool:
        """Fold in a transaction that is alone; whether it leaves a backlog."""
        ranges = await store.pending(connection, ROWS)
        await require_term(connection, term)
        if not ranges:
            return False
        await store.add_to_rollups(connection, ranges)
        await self.also(connection, await store.deltas(connection, ranges))
        await store.advance(connection, ranges)
        return any(each.more for each in ranges)
