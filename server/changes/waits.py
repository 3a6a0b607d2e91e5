"""Waits for changes: for the end of one that is under way, or for the verdict on it.

Nobody holds a connection while it waits: one reader of the process looks after all of them, when the bus says that a
change has moved, and every LOOK_S besides, for a verdict comes of traffic and nobody tells of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from server.changes import store
from server.changes.answer import ChangeAnswer, ReadVerdicts, with_verdicts
from server.kernel import shared_clock
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.loop import Loop

TOPIC = "changes"
LOOK_S = 2.0
LIMIT_S = 10.0  # for one look
TOLD = ("deploy", "scale", "flag", "other")  # what a pipeline tells of, and so may wait for
WAIT_MAX_S = 25  # routers of platforms cut at 30 s
WAITERS_MAX = 200


class Waiter:
    """One who waits: what is known of the change, and whether that is enough."""

    def __init__(self, found: ChangeAnswer) -> None:
        self.begun = found
        self.found = found
        self.done = asyncio.Event()

    def hear(self, found: ChangeAnswer) -> None:
        """What is known now."""
        self.found = found
        if enough(self.begun, found):
            self.done.set()


class ChangeWaits:
    """Those who wait in this process. `read` gives verdicts."""

    def __init__(self, db: Database, bus: Bus, read: ReadVerdicts) -> None:
        self.db = db
        self._read = read
        self._waiters: set[Waiter] = set()
        self._loop = Loop("looking after changes that are waited for", self._look, LOOK_S, limit_s=LIMIT_S)
        bus.subscribe(TOPIC, self._loop.wake)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    async def start(self) -> None:
        self._loop.start()

    async def close(self) -> None:
        await self._loop.close()

    def end(self) -> None:
        """The process stops: answer everybody with what is known."""
        for waiter in self._waiters:
            waiter.done.set()

    async def known(self, change_id: int, seconds: float) -> ChangeAnswer:
        """A change, at the latest after `seconds`. Raises ApiError NOT_FOUND, and UNAVAILABLE where too many wait."""
        found = (await self._find([change_id])).get(change_id)
        if found is None:
            raise ApiError("NOT_FOUND", f"There is no change {change_id}; GET /api/v1/changes lists them.")
        if seconds <= 0 or enough(found, found):
            return found
        if self.waiting >= WAITERS_MAX:
            detail = f"{WAITERS_MAX} wait for changes in this process already. Ask again, or without `wait`."
            raise ApiError("UNAVAILABLE", detail, retry_after=5)
        return await self._wait(Waiter(found), seconds)

    async def _wait(self, waiter: Waiter, seconds: float) -> ChangeAnswer:
        self._waiters.add(waiter)
        self._loop.wake()  # it may have moved since it was read
        try:
            async with asyncio.timeout(seconds):
                await waiter.done.wait()
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
        return waiter.found

    async def _look(self) -> None:
        if not self._waiters:
            return
        found = await self._find({waiter.found.id for waiter in self._waiters})
        for waiter in self._waiters:
            if waiter.found.id in found:
                waiter.hear(found[waiter.found.id])

    async def _find(self, ids: Collection[int]) -> dict[int, ChangeAnswer]:
        async with self.db.ask() as connection:
            changes = await store.several(connection, ids)
            return {one.id: one for one in await with_verdicts(connection, changes, self._read, shared_clock.now())}


def enough(begun: ChangeAnswer, found: ChangeAnswer) -> bool:
    """Whether nobody need wait any longer: its verdict is known, it has ended meanwhile, or it failed."""
    if found.sure or (begun.state == "started" and found.state != "started"):
        return True
    return found.state == "failed" or found.kind not in TOLD
