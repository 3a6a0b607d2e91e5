"""A writer and its database, for tests."""

from __future__ import annotations

import os
import time
from typing import Any

from server.ingest.batch import Batch, Claim
from server.ingest.count import count
from server.ingest.counted import Counted
from server.ingest.numbering import Numbering
from server.ingest.series import Caps
from server.ingest.writer import Writer
from server.kernel.db import Database
from tests.ingest.making import decoded, ready_database

CAPS = Caps(200, 200, 50)


class Bench:
    """A writer on a real database."""

    def __init__(self, url: str, db: Database) -> None:
        self.url = url
        self.db = db
        self.numbering = Numbering(db, CAPS, time.time)
        self.writer = Writer(db, "test writer", lambda service: (10_000, 300_000))

    async def counted(self, *outcomes: dict[str, Any], keep: bool = True) -> Counted:
        batch = decoded(*outcomes)
        spellings = {(o.service, o.version, o.route, o.method, o.status) for o in batch.outcomes}
        await self.numbering.number(spellings)
        return count(batch.outcomes, batch.times, self.numbering.find, os.urandom(10) if keep else None)

    async def batch(self, *outcomes: dict[str, Any], claim: Claim | None = None, keep: bool = True) -> Batch:
        return Batch(await self.counted(*outcomes, keep=keep), claim.answer if claim else b"{}", claim)

    async def close(self) -> None:
        await self.writer.close()
        await self.numbering.close()
        await self.db.close()


async def bench(url: str) -> Bench:
    return Bench(url, await ready_database(url))


def claim(key: str, body: str = "body", answer: bytes = b'{"accepted":1}') -> Claim:
    return Claim(key.encode().ljust(16), body.encode().ljust(16), answer)
