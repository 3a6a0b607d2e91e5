"""Temporary values end by themselves: only their own setting, and only where they are still in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from server.config import staging, store
from server.config.revisions import Environment, Revision, unexpired
from server.config.saving import RevisionAct
from server.config.staged import Staged
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.names import OWN

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def expire_due(db: Database, bus: Bus, environment: Environment) -> int | None:
    """Make the revision without the temporary values whose time is over; its number, None where there are none.

    Safe to repeat and to run in several processes at once: the lock lets one do it.
    """
    async with db.act() as connection:
        if not await due(connection):
            return None
        await store.lock(connection)
        if not await due(connection):
            return None
        current, now = await store.current(connection)
        act = RevisionAct(connection, environment, OWN, "", now, current)
        staged = await store.live_staged(connection)
        if staged is None:
            await end_values(act, current)
        else:
            await end_on_both_sides(act, staged)
    await bus.publish("config", act.current.number)
    return act.current.number


async def due(connection: AsyncConnection) -> bool:
    """Whether the time of a value is over, in the newest revision or under a staged one."""
    current, now = await store.current(connection)
    staged = await store.live_staged(connection)
    sides = [current] if staged is None else [current, await store.numbered(connection, staged.base)]
    return any(unexpired(one.entries, now) != one.entries for one in sides)


async def end_values(act: RevisionAct, one: Revision) -> int:
    """Save a revision without what is over; its number."""
    kept = unexpired(one.entries, act.now)
    reason = "the time of a temporary value is over"
    return (await act.save(kept, kind="expiry", reason=reason, action="config.expire", before=one)).revision


async def end_on_both_sides(act: RevisionAct, staged: Staged) -> None:
    """What is staged and its base each lose what is over; where nothing is left between them, what is staged has ended.

    The staged one is saved last: it stays the newest.
    """
    newest, base = act.current, await store.numbered(act.connection, staged.base)
    kept = unexpired(base.entries, act.now)
    if kept == unexpired(newest.entries, act.now):
        await staging.enter(act, staged, "rolled_back", "the time of its temporary value is over")
        await end_values(act, newest)
        return
    if kept != base.entries:
        staged.base = await end_values(act, base)
    staged.newest = await end_values(act, newest)
    await store.keep_staged(act.connection, staged)


def expiry_job(db: Database, bus: Bus, environment: Environment) -> Callable[[int], Awaitable[None]]:
    """For the watch, every second."""

    async def run(term: int) -> None:
        await expire_due(db, bus, environment)

    return run
