"""What of the ledger ages out: minutes after 35 days, hours after 400."""

from __future__ import annotations

from server.db import Database
from server.slo import ledger_store

EVERY_S = 600.0


async def retain_ledger(db: Database, now: float) -> None:
    """Delete what is too old, some rows at a time."""
    gone = 1
    while gone:
        async with db.act() as connection:
            gone = await ledger_store.drop_old(connection, now)
