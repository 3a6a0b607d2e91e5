"""The way back: what waits in the spool goes into the database, in order, once.

A batch is stored under its own key, so what a process that was killed had stored and not removed counts nothing.
The slots of processes of this machine that are gone are taken over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from server.ingest.batch import Batch, Claim
from server.ingest.item_claims import items_without
from server.ingest.lines.line import line_rows, oldest_line
from server.ingest.numbering import Numbering
from server.ingest.outcome import span
from server.ingest.sent import SentBatch, unpacked
from server.ingest.spool import spool_file
from server.ingest.spool.spool import Spool
from server.ingest.spool.spool_slot import Segment, SpoolSlot
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.loop import Loop
from server.kernel.settings import Environment
from server.telemetry import metrics

log = logging.getLogger("evenkeel.spool")

POLL_S = 1.0
LEFT_S = 5.0  # between two looks for slots that were left
PATIENCE_S = 0.5  # for one try; the loop tries again
ITEMS = (1_000, 10_000)  # in one transaction: at first, and at most
TURN_ITEMS = 500
PAUSE_S = 0.25  # after a transaction, at most
QUICK_S = 0.5  # a transaction that took less may be followed by a larger one
AGAIN = frozenset({"UNAVAILABLE", "IN_FLIGHT"})  # what ends by itself


class StillAway(OSError):
    """The database does not take it yet."""


class SpoolRecord(NamedTuple):
    """A record of a segment, and what it says."""

    data: bytes
    sent: SentBatch


class SpooledBatch(NamedTuple):
    """A record ready to be stored; this version refuses so many of its outcomes."""

    record: SpoolRecord
    batch: Batch
    faults: int


class Replay:
    """Replays while there is something to replay. `stored` is told how long each transaction took, in seconds."""

    def __init__(
        self, spool: Spool, numbering: Numbering, writer: Writer, env: Environment, stored: Callable[[float], None]
    ) -> None:
        self.spool = spool
        self.writer = writer
        self._numbering = numbering
        self._days = env.outcome_retention_days
        self._line_hours = env.log_retention_hours
        self._stored = stored
        self._left: list[SpoolSlot] = []  # of processes that are gone
        self._looked_at = float("-inf")  # monotonic
        self._places: dict[Segment, int] = {}  # records of it that are stored
        self._most = ITEMS[0]
        self._resting = True
        self._decoded = 0  # items since others had a turn
        self._loop = Loop("replaying the spool", self._run, POLL_S)

    def start(self, process_id: int) -> None:
        """Begin at once with what an earlier process has left."""
        self.writer.process_id = process_id
        self._loop.wake()
        self._loop.start()

    def wake(self) -> None:
        """Try now."""
        self._loop.wake()

    @property
    def waits(self) -> bool:
        """Whether something is to be replayed here."""
        return self.spool.folder.slot.bytes > 0 or bool(self._left)

    async def _run(self) -> None:
        if time.monotonic() - self._looked_at > LEFT_S:
            self._looked_at = time.monotonic()
            self._left += await self.spool.do(self.spool.folder.left)
        if not self.waits:
            await self._rest()
            return
        self._resting = False
        try:
            await self._replay()
        except OSError:
            self._most = ITEMS[0]
            raise

    async def _replay(self) -> None:
        await self.writer.probe()
        if self.writer.failing:
            raise StillAway(self.writer.failing)
        for slot in (self.spool.folder.slot, *self._left):
            while (segment := await self.spool.do(slot.oldest)) is not None:
                await self._segment(slot, segment)
        left, self._left = self._left, []
        for slot in left:
            await self.spool.do(slot.close)

    async def _rest(self) -> None:
        """Nothing waits: give back what is only needed to replay."""
        if not self._resting:
            self._resting = True
            await self.spool.do(self.spool.folder.keys.forget)
            await self.writer.close()
            log.info("all that was spooled is in the database")

    async def _segment(self, slot: SpoolSlot, segment: Segment) -> None:
        """Store all of a segment and remove it; where that breaks off, the next run goes on from there."""
        found = spool_file.read(await self.spool.do(segment.path.read_bytes), segment.mark)
        while (place := self._places.get(segment, 0)) < len(found.payloads):
            group = await self._group(slot, segment, found.payloads[place:])
            took_s = await self._store(slot, segment, [record for record in group if record is not None])
            self._places[segment] = place + len(group)
            self._stored(took_s)
            self._most = min(2 * self._most, ITEMS[1]) if took_s < QUICK_S else self._most
            await asyncio.sleep(min(took_s, PAUSE_S))  # what comes in now goes first
        if found.torn:
            log.warning("%s: %d bytes at its end were never whole: cut off", segment.path, found.torn)
        if found.broken:
            log.error(
                "%s: %d bytes are damaged; what was whole is stored, the file is put aside", segment.path, found.broken
            )
            await self.spool.do(slot.put_aside, segment)
        else:
            await self.spool.do(slot.remove, segment)
        self._places.pop(segment, None)

    async def _group(self, slot: SpoolSlot, segment: Segment, rest: Sequence[bytes]) -> list[SpoolRecord | None]:
        """What goes into one transaction; None for a record that cannot be read and was put aside."""
        group: list[SpoolRecord | None] = []
        of_one: list[SentBatch] = []  # kind, timed or not
        items = 0
        for data in rest:
            try:
                sent = unpacked(data)
            except ValueError as error:
                await self._aside(slot, segment, data, str(error))
                group.append(None)
                continue
            if of_one and (items + sent.rows > self._most or sent.timed is not of_one[0].timed):
                break
            of_one.append(sent)
            group.append(SpoolRecord(data, sent))
            items += sent.rows
        return group

    async def _aside(self, slot: SpoolSlot, segment: Segment, data: bytes, why: str) -> None:
        log.error("a batch of %s cannot be replayed and is put aside: %s", segment.path, why)
        await self.spool.do(slot.put_record_aside, segment, data)

    async def _store(self, slot: SpoolSlot, segment: Segment, records: Sequence[SpoolRecord]) -> float:
        """Store these in one transaction, which took so many seconds.

        StillAway, or a database error: they are to be tried again, all of them.
        """
        batches: list[SpooledBatch] = []
        unknown: list[SpoolRecord] = []
        for record in records:
            ended = await self._ended(record.sent)
            if ended is None:
                unknown.append(record)
            elif not ended:
                batches.append(await self._batch(record))
        began = self.writer.clock.now()
        await self.writer.store([batch for _, batch, _ in batches], PATIENCE_S)
        took_s = self.writer.clock.now() - began
        errors = [(one, one.batch.done.exception()) for one in batches]
        for _, error in errors:
            if isinstance(error, ApiError) and error.code in AGAIN:
                raise StillAway(error.detail)
        for (record, _, faults), error in errors:
            if error is not None:
                await self._aside(slot, segment, record.data, str(error))
            elif faults:
                await self._aside(slot, segment, record.data, f"this version refuses {faults} of its outcomes")
        for record in unknown:
            await self._aside(slot, segment, record.data, "whether it was stored cannot be known any more")
        items = sum(record.sent.items for record in records)
        await self.spool.do(slot.count, -items)
        metrics.replayed(items)
        return took_s

    async def _ended(self, sent: SentBatch) -> bool | None:
        """Whether it was stored before it was spooled, by a flush whose answer was lost; None: not known any more."""
        if not sent.xid:
            return False
        status = await self.writer.status_of(sent)
        if status == "in progress":
            raise StillAway("a flush whose answer was lost has not ended yet")
        return None if status is None else status == "committed"

    async def _batch(self, record: SpoolRecord) -> SpooledBatch:
        sent = record.sent
        self._decoded += sent.rows
        if self._decoded > TURN_ITEMS:  # what is decoded here must not hold up others
            self._decoded = 0
            await asyncio.sleep(0)
        decoded, now = sent.decoded(), shared_clock.now()
        if decoded.faults:
            log.error("%d spooled outcomes are refused by this version: %s", len(decoded.faults), decoded.faults[0])
        if min(decoded.times, default=0) < span(now, self._days).oldest:
            sent.keep_rows = False  # there is no place for raw outcomes of that day any more; they count
        try:
            counted = await self._numbering.counted(decoded, sent)
        except ApiError as error:
            raise StillAway(error.detail) from error
        lines = line_rows([line for line in sent.lines if line.at >= oldest_line(now, self._line_hours)], sent.at)
        items = items_without(sent.item_claims, {fault.index for fault in decoded.faults})
        claim = Claim(sent.digest, sent.body_digest, sent.answer)
        batch = Batch(counted, sent.answer, claim, lines=lines, item_claims=items)
        return SpooledBatch(record, batch, len(decoded.faults))

    async def close(self) -> None:
        """Stop; what is not stored yet stays where it is."""
        await self._loop.close()
        left, self._left = self._left, []
        for slot in left:
            await self.spool.do(slot.close)
        await self.writer.close()
        await self.spool.close()
