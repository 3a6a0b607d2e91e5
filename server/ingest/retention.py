"""What ages out here: idempotency keys and the counts of intake. A job of the watch."""

from __future__ import annotations

import logging

from server.ingest import retention_store as store
from server.kernel.db import Database

log = logging.getLogger("evenkeel.ingest")

EVERY_S = 60.0
KEYS_MAX = 20_000_000  # about 3 GB: above it the oldest go before their 24 hours


async def age_out(db: Database) -> None:
    """Drop keys and counts that are a day old, and the oldest keys where there are too many."""
    for drop in (store.drop_keys, store.drop_intake):
        await db.in_bites(drop, store.BITE)
    async with db.act() as connection:
        excess = await store.keys_over(connection, KEYS_MAX)
    if excess > 0:
        log.warning("%d idempotency keys over %d: the oldest are dropped before their 24 hours", excess, KEYS_MAX)
    while excess > 0:
        async with db.act() as connection:
            excess -= await store.drop_oldest_keys(connection) or excess
