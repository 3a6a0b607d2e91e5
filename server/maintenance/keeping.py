"""The watch's part: windows begin and end by their time, each once, whatever dies in between."""

from __future__ import annotations

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.maintenance import acts, store

EVERY_S = 1.0


async def keep(db: Database, bus: Bus, now: float) -> None:
    """The job `maintenance`, at `now` in Unix seconds."""
    async with db.act() as connection:
        due = await store.due(connection, now)
    for number in due:
        await kept(db, number, now)
    if due:
        await bus.publish("alerts", 0)


async def kept(db: Database, number: int, now: float) -> None:
    """Begin one, end it, or both where nobody watched meanwhile; what others have done meanwhile stays done."""
    async with db.act() as connection:
        await acts.begin(connection, number, now)
    async with db.act() as connection:
        window = await store.one(connection, number, hold=True)
        if window is not None and window.ended_at is None and window.stop.timestamp() <= now:
            await acts.finish(connection, number, "", now)
