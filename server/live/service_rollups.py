"""The rollups by service, made for what was folded before there were any, or by a watch that does not know them.

The fold adds to them in its own transaction (server/live/fold_store.py). Here they are made from those by series,
newest first, in bites that nothing is folded beside: minutes and ten minutes of a service, hours and half days of it
and of its routes and versions. What is covered is written with each bite, and readers use no more. A half day that goes
on is left to its hours: it is made when it is over.
"""

from __future__ import annotations

import time

from server.kernel.db import Database
from server.live import fold_store
from server.live import service_rollups_store as store
from server.process.watch import require_term

EVERY_S = 5.0
BUSY_S = 1.0  # bites for this long before others have their turn
AGAIN_S = 600.0  # once all is made, look this often whether a half day is over


class ServiceRollups:
    """A job of the watch."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._whole_in: int | None = None  # the term in which nothing was left to do
        self._again_at = 0.0  # monotonic

    async def run(self, term: int) -> None:
        """Vouch for the rollups in this term and make some that are missing; Fenced where the term has passed."""
        if self._whole_in == term and time.monotonic() < self._again_at:
            return
        deadline = time.monotonic() + BUSY_S
        more = True
        while more and time.monotonic() < deadline:
            more = await self.once(term)
        if not more:
            self._whole_in, self._again_at = term, time.monotonic() + AGAIN_S

    async def once(self, term: int) -> bool:
        """One bite of each kind, a transaction; whether there may be more."""
        async with self.db.act() as connection:
            await fold_store.alone(connection)
            await require_term(connection, term)
            await store.vouch(connection, term)
            minutes = await store.make_minutes(connection)
            hours = await store.make_hour(connection)
            return await store.make_half(connection) or hours or minutes
