"""What a log says into the database, by the same path as outcomes that are sent."""

from __future__ import annotations

import os
from collections.abc import Mapping

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest import received_store
from server.ingest.access_log import log_place_store
from server.ingest.access_log.log_place import LogPlace
from server.ingest.access_log.log_taking import Aborted, LogPart, LogTaking, Report
from server.ingest.batch import Batch, Claim, StoredBatch
from server.ingest.count import count
from server.ingest.counted import Counted, Thresholds, Unnumbered
from server.ingest.numbering import Numbering
from server.ingest.partitions import ensure_partitions
from server.ingest.received import ReceivedTally
from server.ingest.routes import template_store
from server.ingest.routes.templates import PathTree
from server.ingest.series import Caps
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.connection import OwnConnection
from server.kernel.db import Database, why_away
from server.kernel.errors import ApiError
from server.kernel.settings import Environment
from server.process.reserve import reserve_of
from server.receivers.access_log.entry import LeftKind

ACCESS_LOG = "Access log"  # the receiver
PATIENCE_S = 30.0
LIVE_S = 2.0  # for one try, which is made again
PLACES_S = 5.0  # for the place of a log to be read or written
TOLD = -1  # stands for a process that has sent the log's outcomes itself, so that the watch tells of them


class Importer(LogTaking):
    """Stores logs as outcomes of one service. `thresholds` are those of the objectives in force.

    `tell`: the watch takes the outcomes for sent ones and alerts on them, else they only count.
    """

    def __init__(
        self,
        env: Environment,
        db: Database,
        thresholds: Thresholds,
        service: str,
        *,
        aborted: Aborted = "bad",
        tell: bool = False,
        live: bool = False,
    ) -> None:
        super().__init__(env, service, aborted=aborted, live=live)
        self.db = db
        self._patience_s = LIVE_S if live else PATIENCE_S
        self._numbering = Numbering(db, Caps(env.services_max, env.routes_max, env.versions_max), shared_clock.now)
        self._writer = Writer(db, "import", thresholds, self.make_partitions, reserve=reserve_of(env))
        self._places = OwnConnection(db, "log places")
        if tell:
            self._writer.process_id = TOLD

    async def take_patterns(self, connection: AsyncConnection) -> None:
        """Take the patterns of routes that are in force."""
        found = await template_store.of_service(connection, self.service)
        self._tree = PathTree((one.pattern, not one.author) for one in found)
        self._named.clear()

    async def make_partitions(self) -> None:
        """Make room for outcomes of the days that are taken. psycopg.Error, OSError: the database is away."""
        await ensure_partitions(self.db.of_outcomes, shared_clock.now(), self.env.outcome_retention_days)

    def prepare(self, known: bytes, number: int, place: LogPlace, parts: Mapping[bytes, LogPart]) -> None:
        """Nothing: what is stored, and its place, are in one database."""

    async def store(self, part: LogPart, claim: Claim | None) -> StoredBatch:
        """Store outcomes, under a claim once. Raises ApiError; UNAVAILABLE and IN_FLIGHT end by themselves."""
        batch = Batch(await self._counted(part), claim.answer if claim else b"", claim)
        await self._writer.store([batch], self._patience_s)
        return await batch.done

    async def _counted(self, part: LogPart) -> Counted:
        find = self._numbering.find
        while True:
            try:
                return count(part.outcomes, part.times, find, os.urandom(10), timed=part.timed)
            except Unnumbered as unnumbered:
                await self._numbering.number(unnumbered.spellings, first=unnumbered.spellings)

    async def places(self, known: bytes) -> dict[int, LogPlace]:
        """The places of logs that begin so, by number. ApiError UNAVAILABLE."""
        try:
            async with self._places.use(PLACES_S) as connection:
                return await log_place_store.places(connection, known)
        except (psycopg.Error, OSError) as error:
            raise away(error) from error

    async def move(self, known: bytes, number: int, place: LogPlace, report: Report) -> None:
        """A log is stored up to there, and what became of the lines before it. ApiError UNAVAILABLE."""
        try:
            async with self._places.use(PLACES_S) as connection:
                await log_place_store.move(connection, known, number, place)
                await received_store.add(connection, received_of(report).take(shared_clock.now()))
        except (psycopg.Error, OSError) as error:
            raise away(error) from error

    async def close(self) -> None:
        """Give back its connections."""
        await self._writer.close()
        await self._numbering.close()
        await self._places.close()


def received_of(report: Report) -> ReceivedTally:
    """What became of some lines, as it is counted by receiver."""
    tally, now = ReceivedTally(), shared_clock.now()
    if report.stored:
        tally.add(now, ACCESS_LOG, 0, requests=0, items=report.stored)
    for reason, left in (("not understood", report.left[LeftKind.REFUSED]), ("time not taken", report.outside)):
        if left.count:
            tally.add(now, ACCESS_LOG, 0, reason, requests=0, items=left.count, said=left.first[0][2])
    return tally


def away(error: BaseException) -> ApiError:
    return ApiError("UNAVAILABLE", f"{why_away(error)} Run it again: it goes on where it was.", retry_after=2)
