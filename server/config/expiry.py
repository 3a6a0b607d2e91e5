"""Temporary values end by themselves: only their own setting, and only where they are still in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from server.bus import Bus
from server.config import store
from server.config.resolve import Environment
from server.config.revisions import unexpired
from server.config.saving import Act
from server.db import Database
from server.names import OWN


async def expire_due(db: Database, bus: Bus, environment: Environment) -> int | None:
    """Make the revision without the temporary values whose time is over; its number, None where there are none.

    Safe to repeat and to run in several processes at once: the lock lets one do it.
    """
    async with db.act() as connection:
        found, now = await store.current(connection)
        if unexpired(found.entries, now) == found.entries:
            return None
        await store.lock(connection)
        current, now = await store.current(connection)
        act = Act(connection, environment, OWN, "", now, current)
        kept = unexpired(act.current.entries, now)
        if kept == act.current.entries:
            return None
        await act.save(kept, kind="expiry", reason="the time of a temporary value is over", action="config.expire")
    await bus.publish("config", act.current.number)
    return act.current.number


def expiry_job(db: Database, bus: Bus, environment: Environment) -> Callable[[int], Awaitable[None]]:
    """For the watch, every second."""

    async def run(term: int) -> None:
        await expire_due(db, bus, environment)

    return run
