"""What of the ledger ages out: minutes that no objective's window reaches, hours after 400 days."""

from __future__ import annotations

from server.db import Database
from server.slo import ledger_store
from server.slo.policies import Policies

EVERY_S = 600.0
SPARE_DAYS = 2


async def retain_ledger(db: Database, policies: Policies, now: float) -> None:
    """Delete what is too old, some rows at a time."""
    longest = max((objective.window_days for objective in policies.objectives), default=90)
    gone = 1
    while gone:
        async with db.act() as connection:
            gone = await ledger_store.drop_old(connection, now, longest + SPARE_DAYS)
