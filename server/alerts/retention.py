"""Alerts that were over long ago go, and so do silences. A job of the watch, right in any term."""

from __future__ import annotations

from server.alerts import retention_store as store
from server.kernel.db import Database

EVERY_S = 3600.0


async def age_out(db: Database) -> None:
    """Drop what is older than people look back, some of it at a time."""
    for drop in (store.drop_alerts, store.drop_silences):
        await db.in_bites(drop, store.BITE)
