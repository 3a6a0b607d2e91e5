"""One writer: one connection, one flush at a time, a sequence that rises with each commit.

A flush whose commit was sent and not answered is resolved, never guessed: its
deltas are offered again under the same sequence number. If they are refused as
duplicates the flush was committed; if they are taken, it was not and cannot be any
more (the offer is rolled back).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import psycopg
from psycopg.errors import CheckViolation, UniqueViolation

from server.ingest import flush as flushes
from server.ingest import store
from server.ingest.batch import Batch
from server.ingest.counted import Thresholds
from server.ingest.flush import Flush
from server.ingest.known_items import KnownItems
from server.ingest.sent import SentBatch
from server.kernel import shared_clock
from server.kernel.connection import Connection, OwnConnection
from server.kernel.database_trouble import DatabaseTrouble, trouble_of
from server.kernel.db import Database, local, why_away
from server.kernel.errors import ApiError
from server.kernel.loop_clock import Alarm, LoopClock
from server.kernel.text import first_line
from server.process.reserve import NO_RESERVE, Reserve

log = logging.getLogger("evenkeel.writer")

NO_PARTITION = "There is no partition for outcomes of this time yet. Nothing was stored: send it again."
FLUSH_MAX_S = 8.0  # longer, and the connection is taken for dead
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)
PARTITIONS_S = 5.0  # after so long, missing ones are made again
QUIET_S = 60.0  # after so long without a commit the watch may have dismissed this writer
RESOLVE_WAITS = "2s"
LEAST_S = 0.05  # for one try
KNOWN_S = 600.0  # at least, a writer is known after its last flush: its deltas stay for 15 minutes, and it with them

Keep = Callable[[Flush], Awaitable[None]]


class Writer:
    """Stores batches. `process_id` names the process in `writers`; 0 for a command whose outcomes
    only count, -1 for one that has the watch alert on them.

    `make_partitions` is called where one is missing. While `reserve` is given up nothing is stored. The
    keys that it claims are kept `keys_kept_s` seconds longer than others.
    """

    def __init__(
        self,
        db: Database,
        purpose: str,
        thresholds: Thresholds,
        make_partitions: Callable[[], Awaitable[object]] | None = None,
        *,
        reserve: Reserve = NO_RESERVE,
        keys_kept_s: int = 0,
    ) -> None:
        self.clock = LoopClock()  # of all that it waits for
        self.process_id = 0
        self.id = 0  # 0: not registered yet
        self.seq = 0
        self.committed_at = 0.0  # monotonic
        self.failing = ""  # why the last try failed; empty after a success
        self.away = ""  # the same, for senders
        self.rows_only = False  # what fails is storing raw outcomes in their own database: what has none is stored
        self.trouble = DatabaseTrouble()  # the same, for people
        self.unplaced: list[Batch] = []  # for whose rows there was no partition, until there is
        self.keep: Keep | None = None  # is given what cannot be stored in time, and settles what it has kept elsewhere
        self._thresholds = thresholds
        self._make_partitions = make_partitions
        self._reserve = reserve
        self._keys_kept_s = keys_kept_s
        self._made_at = float("-inf")  # monotonic
        self._connection = OwnConnection(db, purpose, self.clock)
        self._apart = OwnConnection(db.apart, purpose, self.clock) if db.apart is not None else None
        self._known = KnownItems()
        self._at_apart = False  # so far the main database has done its part, and this one not

    async def store(self, batches: Sequence[Batch], patience_s: float) -> None:
        """Store them, trying again while the database is away; every batch is settled on return."""
        with self.clock.alarm(patience_s) as patience:
            await self._store(batches, patience)

    async def _store(self, batches: Sequence[Batch], patience: Alarm) -> None:
        flush = Flush(batches, traced=bool(self.keep or self._apart), keys_kept_s=self._keys_kept_s)
        self._at_apart = False
        for attempt in range(1_000_000):
            try:
                self._reserve.require()
                async with self._connection.use(self._limit_s(patience)) as connection:
                    await self._once(connection, flush, patience)
                    return
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                self._lost(error)
                if unplaceable(error) and patience.left_s > 0 and await self._partitions_made():
                    continue
                await self._refused(batches, error, patience)
                return
            except (psycopg.Error, OSError) as error:
                self._lost(error)
            except BaseException:
                self._disown(flush)
                raise
            if patience.left_s < 0 or self._reserve.given_up:
                break
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
        await self._give_up(flush)

    def _limit_s(self, patience: Alarm) -> float:
        """How long one try may take: what can be kept elsewhere waits no longer than it has patience for."""
        return FLUSH_MAX_S if self.keep is None else max(LEAST_S, min(FLUSH_MAX_S, patience.left_s))

    async def _once(self, connection: Connection, flush: Flush, patience: Alarm) -> None:
        if flush.unsure and not await self._committed(connection, flush):
            flush.forget()
        if not flush.unsure:
            await self._register(connection)
            while not await self._filled(connection, flush, patience):
                await connection.execute("ROLLBACK")
            flush.unsure, flush.counted_as = True, (self.id, self.seq)
            await connection.execute("COMMIT")
        self._succeeded(flush)
        await flushes.settle(connection, flush)

    async def _filled(self, connection: Connection, flush: Flush, patience: Alarm) -> bool:
        """Open the transaction and put everything into it; False: some of it was counted meanwhile, begin again."""
        flush.forget()
        await flushes.begin(connection, flush)
        await flushes.leave_out_counted(connection, flush, self._known)
        self.seq += 1
        await self._copy_rows(connection, flush, patience)
        await flushes.copy_deltas(connection, flush, self.id, self.seq, self._thresholds)
        return await flushes.claim_items(connection, flush, self._known)

    async def _copy_rows(self, connection: Connection, flush: Flush, patience: Alarm) -> None:
        """Raw outcomes, with what counts them or before it: committed first where they have a database of their own."""
        if self._apart is None:
            await flushes.copy_rows(connection, flush.raw)
        elif flush.raw:
            self._at_apart = True
            async with self._apart.use(self._limit_s(patience)) as apart:
                await flushes.copy_rows_apart(apart, flush)
            self._at_apart = False

    async def _register(self, connection: Connection) -> None:
        """A writer of our own, known before its first delta."""
        if self.id and time.monotonic() - self.committed_at > QUIET_S:
            async with connection.transaction():
                if not await store.writer_exists(connection, self.id):
                    self.id = 0
        if not self.id:
            self.id = await store.register_writer(connection, self.process_id)
            self.seq = 0

    async def _committed(self, connection: Connection, flush: Flush) -> bool:
        """Whether the commit that got no answer happened."""
        if not flush.deltas:  # only repeats and empty batches: doing it again changes nothing
            return False
        await connection.execute(f"BEGIN; {local(connection, lock_timeout=RESOLVE_WAITS)}")
        try:
            await store.copy_binary(connection, store.COPY_DELTAS, flush.deltas)
        except UniqueViolation:
            return True
        finally:
            await connection.execute("ROLLBACK")
        return False

    async def _refused(self, batches: Sequence[Batch], error: psycopg.Error, patience: Alarm) -> None:
        """The database is there and refuses: find the batch that it refuses, and store the others."""
        if len(batches) == 1 and unplaceable(error):
            self.unplaced = list(batches)
            if self.keep is not None:
                await self.keep(Flush(batches))
            batches[0].settle(ApiError("UNAVAILABLE", NO_PARTITION, retry_after=5))
            return
        if len(batches) == 1:
            log.error("a batch of %d items was refused by the database: %s", batches[0].items, error)
            batches[0].settle(ApiError("INTERNAL", "The database refused this batch; nothing of it was stored."))
            return
        for batch in batches:
            await self.store([batch], max(1.0, patience.left_s))

    async def _partitions_made(self) -> bool:
        """Make the partitions that are missing; False where that fails or was tried a moment ago."""
        if self._make_partitions is None or time.monotonic() - self._made_at < PARTITIONS_S:
            return False
        self._made_at = time.monotonic()
        try:
            await self._make_partitions()
        except (psycopg.Error, OSError) as error:
            log.error("partitions could not be made: %s", error)
            return False
        return True

    async def probe(self) -> None:
        """Find out without a new batch whether storing works again."""
        self._at_apart = False
        try:
            self._reserve.require()
            async with self._connection.use(FLUSH_MAX_S) as connection:
                if self.unplaced:
                    await self._partitions_made()
                await self._try(connection, self.unplaced if self._apart is None else [])
                if self._apart is not None:
                    self._at_apart = True
                    async with self._apart.use(FLUSH_MAX_S) as apart:
                        await self._try(apart, self.unplaced)
                    self._at_apart = False
        except (psycopg.Error, OSError) as error:
            self._lost(error)
            return
        self.unplaced = []
        self._works()

    async def _try(self, connection: Connection, batches: Sequence[Batch]) -> None:
        await connection.execute(f"BEGIN; {local(connection)}")
        await store.require_writes(connection)
        await flushes.copy_rows(connection, batches)
        await connection.execute("ROLLBACK")

    async def status_of(self, sent: SentBatch) -> str | None:
        """What became of the flush that was to store it: committed, aborted, in progress; None: it is too long ago.

        The number of its transaction alone does not say: a server that took over without it, or was restored, has
        given it to another.
        """
        async with self._connection.use(FLUSH_MAX_S) as connection:
            try:
                status = await store.transaction_status(connection, sent.xid)
            except psycopg.DataError:  # the database never came so far
                status = "aborted"
            if status == "in progress" or not sent.writer_id:
                return status
            counted = await store.is_counted(connection, sent.writer_id, sent.seq)
        if counted is None:  # the writer is not known: not any more, or it never was
            return "aborted" if shared_clock.now() - sent.at / 1_000_000 < KNOWN_S else status
        return "committed" if counted else "aborted"

    def worked(self) -> None:
        """Another writer has stored: so will this one."""
        if not self.unplaced:
            self._works()

    def _disown(self, flush: Flush) -> None:
        if flush.unsure:
            self.id = 0  # its last flush may still be committed: never write after it under the same number

    async def _give_up(self, flush: Flush) -> None:
        self._disown(flush)
        if self.keep is not None:
            await self.keep(flush)
        kept = "It may or may not have been stored" if flush.unsure else "Nothing was stored"
        for batch in flush.batches:
            batch.settle(
                ApiError(
                    "UNAVAILABLE",
                    f"{self.away} {kept}; send it again with the same Idempotency-Key.",
                    retry_after=2,
                    unsure=flush.unsure,
                )
            )

    def _lost(self, error: BaseException) -> None:
        if not self.failing:
            log.warning("flush failed: %s", first_line(error))
        self.failing, self.away = first_line(error), why_away(error)
        self._known.forget()
        self.rows_only = self._at_apart
        self.trouble.found(trouble_of(error))

    def _succeeded(self, flush: Flush) -> None:
        self.committed_at = time.monotonic()
        if flush.look is not None:
            self._known.committed(flush.look)
        if self.rows_only and not flush.raw:
            return  # that is no news of the outcomes' own database
        if not self.unplaced:  # else outcomes of another day are stored, and those still are not
            self._works()

    def _works(self) -> None:
        if self.failing:
            log.info("flushing again")
        self.failing, self.rows_only = "", False
        self.trouble.found(None)

    async def close(self) -> None:
        await self._connection.close()
        if self._apart is not None:
            await self._apart.close()


def unplaceable(error: psycopg.Error) -> bool:
    """Whether a partition is missing; outcomes have no other condition to violate."""
    return isinstance(error, CheckViolation)
