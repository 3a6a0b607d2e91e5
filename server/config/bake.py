"""The watch looks at a staged revision each second: it counts its bake time, and promotes it or rolls it back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from server.config import receipt_store, staged_store, staging, store
from server.config.guard import Standing
from server.config.receipts import GONE_S, SILENT_S, Seen, labels
from server.config.resolve import Environment
from server.config.saving import Act
from server.config.staged import Staged, baked_s, held_by, kept_up, stale, starts_to_burn, still_known
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.names import OWN
from server.process.watch import require_term

log = logging.getLogger("evenkeel.bake")

EVERY_S = 1.0


class Bake:
    """A job of the watch. `standing` answers how the objectives stand by the newest evaluation."""

    def __init__(self, db: Database, bus: Bus, environment: Environment, standing: Callable[[], Standing]) -> None:
        self.db = db
        self.bus = bus
        self.environment = environment
        self.standing = standing

    async def run(self, term: int) -> None:
        """One look; Fenced where another watch has taken over."""
        async with self.db.act() as connection:
            if await staged_store.live(connection) is None:
                return
            await store.lock(connection)
            await require_term(connection, term)
            staged = await staged_store.live(connection)
            if staged is None:  # somebody has ended it while we waited
                return
            current, now = await store.current(connection)
            act = Act(connection, self.environment, OWN, "", now, current)
            await look(act, staged, self.standing(), await receipt_store.seen(connection))
        if act.signal is not None:
            await self.bus.publish("config", act.signal)


async def look(act: Act, staged: Staged, standing: Standing, seen: list[Seen]) -> None:
    """Keep the chosen processes up; then roll back, promote, or count on."""
    keep_processes(act, staged, seen)
    fresh = not stale(standing)
    burns = starts_to_burn(staged, standing) if fresh else ""
    if burns:
        log.warning("revision %d is rolled back: %s", staged.newest, burns)
        await staging.roll_back(act, staged, burns)
        return
    if fresh:
        staged.known = still_known(staged, standing)
    held = held_by(staged, standing, unproven(staged, seen))
    staged.baked_s = baked_s(staged, held, act.now)
    staged.held, staged.checked_at = held, act.now
    if staged.baked_s >= staged.bake_s and not held:
        log.info("revision %d is promoted", staged.newest)
        await staging.promote(act, staged, f"baked {staged.bake_s // 60} min and no objective started to burn")
    else:
        await staged_store.keep(act.connection, staged)


def keep_processes(act: Act, staged: Staged, seen: list[Seen]) -> None:
    """Others stand in for chosen processes that have gone."""
    there = {one.id for one in seen if one.silent_s <= GONE_S}
    fresh = [one.id for one in seen if one.silent_s <= SILENT_S]
    chosen = kept_up(staged.chosen, there, fresh, act.now)
    if chosen != staged.chosen:
        log.warning("revision %d: processes %s, before %s", staged.newest, sorted(chosen), sorted(staged.chosen))
        staged.chosen, act.signal = chosen, staged.newest


def unproven(staged: Staged, seen: list[Seen]) -> list[str]:
    """The chosen processes that are not known to enforce it now."""
    named = labels(seen)
    proven = {one.id for one in seen if one.revision == staged.newest and one.silent_s <= SILENT_S}
    return [named.get(one, "a process that has gone") for one in staged.chosen if one not in proven]
