"""Detects restarts of Evenkeel itself: processes that took the place of others of their name."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from server.changes import store
from server.changes.store import Restarted
from server.kernel.db import Database
from server.kernel.names import OWN

log = logging.getLogger("evenkeel.changes")

EVERY_S = 5.0


class Restarts:
    """The watch's job."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def run(self, term: int = 0) -> None:
        """Record one `restart` for each machine; safe to repeat and to run twice at once."""
        async with self.db.act() as connection:
            await store.lock(connection)
            found = await store.restarted(connection)
            for host in sorted({one.host for one in found}):
                mine = [one for one in found if one.host == host]
                detail = {"host": host, "processes": [one.id for one in mine]}
                await store.record(connection, "restart", OWN, "", words(host, mine), author=OWN, detail=detail)
                log.info("restart of %s", words(host, mine))


def words(host: str, found: Sequence[Restarted]) -> str:
    """`web.1 and watch on a1, web.1 had died`."""
    died = [one.name for one in found if one.died]
    ending = f", {' and '.join(died)} had died" if died else ""
    return f"{' and '.join(one.name for one in found)} on {host}{ending}"
