"""The watch's reminder of updates that are overdue, on the timeline too: one an interval, whatever dies in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.incidents import store
from server.incidents.incident import TimelineEntry
from server.incidents.telling import overdue
from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.text import plural
from server.notify.outbox import tell_of_incident

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

EVERY_S = 5.0


async def remind(db: Database, bus: Bus) -> None:
    """The job `reminders`."""
    now = shared_clock.now()
    async with db.act() as connection:
        touched = [one for one in await store.overdue(connection, now) if await reminded(connection, one, now)]
    for incident_id in touched:
        await bus.publish("incidents", incident_id)


async def reminded(connection: AsyncConnection, incident_id: int, now: float) -> bool:
    """Remind of one incident, unless that was done for this interval."""
    room = await store.room(connection, incident_id, hold=True)
    told = overdue(room, now) if room else None
    if told is None:
        return False
    n = await tell_of_incident(connection, told)
    if n:
        text = f"The update is overdue: {plural(n, 'target')} reminded."
        await store.add_entries(connection, [TimelineEntry(0, incident_id, now, "reminder", text)])
    return n > 0
