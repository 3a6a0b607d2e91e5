"""What ages out here: deltas, rollups, and processes that are long gone."""

from __future__ import annotations

import functools

from server.kernel.db import Database
from server.live import fold_store
from server.live import retention_store as store

DELTAS_EVERY_S = 10.0
ROLLUPS_EVERY_S = 300.0


class Retention:
    """Jobs of the watch; what they do is right in any term, so they do not ask for it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._dead: set[int] = set()  # processes that were already dead at the last run

    async def deltas(self, term: int) -> None:
        """Drop the deltas that nothing needs any more; give a cursor to writers that have lost theirs."""
        async with self.db.act() as connection:
            await fold_store.adopt(connection)
        await self.db.in_bites(store.drop_deltas, store.BITE)

    async def rollups(self, term: int) -> None:
        """Drop rollups that have aged out, and processes that are long gone."""
        for kept in store.ROLLUPS:
            await self.db.in_bites(functools.partial(store.drop_rollups, kept=kept), store.BITE)
        async with self.db.act() as connection:
            dead = await store.dead(connection)
            # Twice in a row: a laptop that wakes up finds everybody dead, for a second.
            await store.drop_processes(connection, sorted(dead & self._dead))
            await store.drop_writers(connection)
        self._dead = dead
