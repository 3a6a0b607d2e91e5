"""What of the ledger ages out: minutes after 35 days, hours after 400."""

from __future__ import annotations

import functools

from server.kernel.db import Database
from server.slo.ledger import ledger_store

EVERY_S = 600.0


async def retain_ledger(db: Database, now: float) -> None:
    """Delete what is too old, some rows at a time."""
    await db.in_bites(functools.partial(ledger_store.drop_old, now=now), 1)
