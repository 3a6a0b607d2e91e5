"""The last stage: the picture is stored, and everybody told that there is a new one."""

from __future__ import annotations

import msgspec

from server.kernel.bus import Bus
from server.kernel.db import Database
from server.picture import store
from server.picture.picture import Picture
from server.process.watch import Fenced


class PublishStage:
    """The picture as its readers get it. Where it cannot be stored, nobody hears of it."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self.db = db
        self.bus = bus

    async def run(self, picture: Picture) -> None:
        """Store it, then send its number; Fenced where another watch has taken over."""
        async with self.db.act() as connection:
            if not await store.write(connection, picture.term, picture.seq, msgspec.json.encode(picture)):
                raise Fenced(f"the lease is no longer in term {picture.term}")
        await self.bus.publish("picture", picture.seq)
