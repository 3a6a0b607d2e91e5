"""The own lane: Evenkeel's own requests, and the counts of intake.

It has its own writer and connections, so that it never waits behind ingest: what is
refused, and how Evenkeel itself does, stays visible when ingest is stuck. Its
requests are only counted, not kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import psycopg

from server import __version__
from server.ingest import intake_store, received_store
from server.ingest.batch import Batch
from server.ingest.counted import Cell, Counted, Thresholds, counted_of
from server.ingest.numbering import Numbering
from server.ingest.received import ReceivedTally
from server.ingest.series import Spelling
from server.ingest.tally import KEPT_S, IntakeCount, IntakeLine, IntakeTally, requests
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.connection import OwnConnection
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.loop import Loop
from server.kernel.names import OWN
from server.process.reserve import NO_RESERVE, Reserve
from server.telemetry import metrics

log = logging.getLogger("evenkeel.lane")

EVERY_S = 1.0
CLOSE_S = 3.0
PATIENCE_S = 5.0
SECONDS_MAX = 600  # held while the database is away; then the oldest are lost, and said so

# Good and bad durations by series, second and whether they count: of what was refused on purpose, only its number does.
Own = dict[tuple[Spelling, int, bool], tuple[list[int], list[int]]]


class Lane:
    """Counts in memory, written once a second."""

    def __init__(
        self,
        db: Database,
        numbering: Numbering,
        thresholds: Thresholds,
        tally: IntakeTally,
        reserve: Reserve = NO_RESERVE,
    ) -> None:
        self.writer = Writer(db, "own lane", thresholds, reserve=reserve)
        self.tally = tally
        self.received = ReceivedTally()
        self._numbering = numbering
        self._connection = OwnConnection(db, "intake")
        self._own: Own = {}
        self._losing = False  # said so already
        self._loop = Loop("writing our own counts", self.write, EVERY_S)

    def start(self, process_id: int) -> None:
        self.writer.process_id = process_id
        self._loop.start()

    def count(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """One request of our own, in seconds; cheap. None: refused on purpose, so neither bad nor slow."""
        spelling = (OWN, __version__, route, method, status)
        timed = seconds is not None
        durations = self._own.setdefault((spelling, int(shared_clock.now()), timed), ([], []))
        durations[timed and status >= 500].append(int((seconds or 0.0) * 1_000_000))

    async def write(self) -> None:
        """Write what was counted since the last time; what cannot be written stays."""
        await asyncio.gather(self._write_own(), self._write_counts())

    async def _write_own(self) -> None:
        own, self._own = self._own, {}
        for timed in (True, False):  # a flush has cells of one kind
            await self._write_kind({key: durations for key, durations in own.items() if key[2] is timed}, timed)

    async def _write_kind(self, own: Own, timed: bool) -> None:
        if not own:
            return
        try:
            await self._numbering.number({spelling for spelling, _, _ in own})
            batch = Batch(self._counted(own, timed), b"", None)
            await self.writer.store([batch], PATIENCE_S)
            await batch.done
        except ApiError as error:
            if error.extra.get("unsure"):
                log.warning("own requests of a second may be lost: the database did not say whether it stored them")
                return
            self._keep(own)

    def _counted(self, own: Own, timed: bool) -> Counted:
        cells: dict[Cell, tuple[list[int], list[int]]] = {}
        for (spelling, second, _), durations in own.items():
            series = self._numbering.find(spelling)
            if series is None:
                raise ApiError("UNAVAILABLE", "The series of our own requests have no numbers yet.")
            good, bad = cells.setdefault((series, second), ([], []))
            good += durations[0]
            bad += durations[1]
        return counted_of(cells, timed=timed)

    def _keep(self, own: Own) -> None:
        """Put back what was not stored."""
        for key, (good, bad) in own.items():
            durations = self._own.setdefault(key, ([], []))
            durations[0].extend(good)
            durations[1].extend(bad)
        oldest = int(shared_clock.now()) - SECONDS_MAX
        late = [key for key in self._own if key[1] < oldest]
        for key in late:
            del self._own[key]
        if late:
            log.warning("own requests older than %d s could not be stored and are lost", SECONDS_MAX)

    async def _write_counts(self) -> None:
        await self._write_tally()
        await self._write_received()

    async def _write_received(self) -> None:
        counts = self.received.take(shared_clock.now())
        if not counts:
            return
        try:
            async with self._connection.use() as connection:
                await received_store.write(connection, self.writer.process_id, counts)
        except psycopg.DataError as error:  # they would be refused again
            log.error("what came in by receiver in a minute is lost, the database refuses it: %s", error)
        except (psycopg.Error, OSError) as error:
            log.warning("what came in by receiver is not written yet: %s", error)
            self.received.put_back(counts, shared_clock.now())

    async def _write_tally(self) -> None:
        counts = self.tally.take(shared_clock.now())
        if not counts:
            return
        try:
            async with self._connection.use() as connection:
                await intake_store.write(connection, self.writer.process_id, counts)
            self._losing = False
        except psycopg.DataError as error:  # they would be refused again, and all that follow with them
            lost = requests(counts)
            log.error("intake counts of %d requests are lost, the database refuses them: %s", lost, error)
            metrics.intake_lost(lost)
        except (psycopg.Error, OSError) as error:
            log.warning("intake counts not written yet: %s", error)
            self._put_back(counts)

    def _put_back(self, counts: Mapping[IntakeLine, IntakeCount]) -> None:
        lost = self.tally.put_back(counts, shared_clock.now())
        metrics.intake_lost(lost)
        if lost and not self._losing:
            self._losing = True
            log.error("intake counts older than %d s cannot be written and are lost", KEPT_S)

    async def close(self) -> None:
        """Write what is left."""
        await self._loop.close(last_run_s=CLOSE_S)
        await self.writer.close()
        await self._connection.close()
