"""A sender that runs in the test's loop, over a real database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.alerts.notice import Notice
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.settings import Environment
from server.notify.outbox import enqueue
from server.notify.sender import Sender
from tests.notify.making import Desk
from tests.waiting import until


@dataclass
class Office:
    """What a test of sending needs."""

    env: Environment
    db: Database
    bus: Bus
    desk: Desk

    async def tell(self, *notices: Notice) -> None:
        async with self.db.act() as connection:
            await enqueue(connection, notices)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[Sender]:
        """A watch's sender, until the block ends."""
        sender = Sender(self.env, self.db, self.bus)
        task = asyncio.create_task(sender.run(1))
        try:
            yield sender
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def left(self) -> int:
        """Messages that have not arrived and are not given up."""
        return int(
            self.desk.rows("SELECT count(*) FROM notifications WHERE sent_at IS NULL AND gave_up_at IS NULL")[0][0]
        )

    async def due(self) -> None:
        """Time passes once what was tried is marked: what waits for its next try is due."""
        tried = "SELECT FROM notifications WHERE claimed_until > now()"
        await until(lambda: not self.desk.rows(tried), "what was tried to be marked")
        self.desk.do("UPDATE notifications SET next_at = now() WHERE next_at > now()")
        self.wake()

    def wake(self) -> None:
        """The watch has looked and something is due, which it sees within a second."""
        self.desk.do("SELECT pg_notify('evenkeel', 'notify 0')")


@asynccontextmanager
async def office(env: Environment) -> AsyncIterator[Office]:
    assert env.database_url is not None
    db = Database(env.database_url, "test")
    bus = Bus(db, None)
    bus.start()
    desk = Desk(env.database_url)
    try:
        await until(lambda: bus.listening, "the bus to listen")
        yield Office(env, db, bus, desk)
    finally:
        desk.close()
        await bus.close()
        await db.close()


def twice(found: Sequence[str]) -> set[str]:
    """What is there more than once."""
    return {one for one in found if found.count(one) > 1}
