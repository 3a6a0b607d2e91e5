"""What has ended and has no more use goes: run by the watch."""

from __future__ import annotations

from server.auth.signin_store import forget_ended
from server.kernel.db import Database

EVERY_S = 600.0


async def forget_ended_sign_ins(db: Database) -> None:
    """Drop old sign-in failures, expired links, and sessions that ended 30 days ago."""
    async with db.act() as connection:
        await forget_ended(connection)
