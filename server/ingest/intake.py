"""Outcomes in: counts them, queues them for the next flush, and answers after its commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from server.ingest import partitions
from server.ingest.batch import Batch, Claim, Metered, Queue, StoredBatch
from server.ingest.counted import Counted, Unnumbered
from server.ingest.decode import Decoded
from server.ingest.flush import Flush, in_flight
from server.ingest.lane import Lane
from server.ingest.lines.line import line_rows
from server.ingest.lines.line_intake import LineIntake
from server.ingest.numbering import Numbering
from server.ingest.overload import Overload
from server.ingest.patience import PATIENCE_S, slow
from server.ingest.received import ABANDONED, HOT, ReceivedTally
from server.ingest.sent import SentBatch
from server.ingest.series import Caps
from server.ingest.skew import Skews
from server.ingest.spool.replay import Replay
from server.ingest.spool.spool import Spool
from server.ingest.spool.spool_place import NOTHING_WAITS, SpoolWaiting, no_spool, root_of, waiting_on_machine
from server.ingest.tally import ACCEPTED, LOST, SLOT_S, IntakeTally
from server.ingest.telemetry.telemetry_sources import TelemetrySources
from server.ingest.throttle import Throttle
from server.ingest.turns import Turns
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.db import AWAY, Database
from server.kernel.errors import ApiError
from server.kernel.loop import Loop
from server.kernel.settings import Environment
from server.kernel.text import first_line
from server.process.process import Process
from server.process.reserve import reserve_of
from server.receivers.drained import LostLines
from server.telemetry import metrics

log = logging.getLogger("evenkeel.intake")

REFUSED_AFTER_S = 10.0  # without a spool
KEPT_S = 6 * 86_400  # what was replayed is known for a week: a machine may stay off before it has removed it
CLOSE_S = 8.0  # after the requests in flight have had their time; all in all under 25 s
PROBE_S = 1.0  # between two looks at whether storing works again
STUCK_S = 5.0  # a flush that lasts longer: not able to accept durably
CUT_S = 0.3  # after its connection is cut, numbering is cancelled: that asks the server first, which may hang
METERED_AWAY = (
    "Points that count since their start are not kept while the database is away: nothing is lost, the next ones have "
    "it all."
)
LOST_BACK_S = 3600.0
LOOKED_S = 0.5  # between two looks at what waits on the disk


class Objectives(Protocol):
    """What intake needs of server/slo/policy/policies.py."""

    def thresholds_us(self, service: str) -> tuple[int, ...]: ...


class Intake:
    """The outcomes of one web process. `start` and `close` inside its loop."""

    def __init__(self, env: Environment, db: Database, policies: Objectives, process: Process) -> None:
        self.env = env
        self.db = db
        self.process = process
        reserve = reserve_of(env)
        self.turns = Turns()
        self.overload = Overload()
        self.tally = IntakeTally(env.services_max)
        self.throttle = Throttle(env.redis_url)
        self.numbering = Numbering(db, Caps(env.services_max, env.routes_max, env.versions_max), shared_clock.now)
        self.writer = Writer(db, "ingest", policies.thresholds_us, self._make_partitions, reserve=reserve)
        self.queue = Queue(self.writer.clock)
        self.no_spool = no_spool(env)  # why there is none
        self.spool: Spool | None = None  # once it has started
        self.replay: Replay | None = None
        if not self.no_spool or waiting_on_machine(root_of(env)).bytes:  # what waits from before is stored in any case
            spool = Spool(root_of(env), env.spool_max_bytes // env.web_concurrency, reserve)
            again = Writer(
                db, "spool", policies.thresholds_us, self._make_partitions, reserve=reserve, keys_kept_s=KEPT_S
            )
            self.replay = Replay(spool, self.numbering, again, env, self._replayed)
        self.lines = LineIntake(env, db)
        self.lane = Lane(db, self.numbering, policies.thresholds_us, self.tally, reserve)
        self.skews = Skews()
        self.sources = TelemetrySources(db)
        self._claimed: set[bytes] = set()  # idempotency digests being stored by this process
        self._probed_at = 0.0  # monotonic
        self._waiting = NOTHING_WAITS
        self._looked_at = float("-inf")  # monotonic
        self._flushing_since: float | None = None  # monotonic
        self._loop = Loop("flushing", self._flush, 0, retry_s=PROBE_S)

    async def start(self) -> None:
        """Begin to flush; today's partitions are made where the watch has not done so."""
        try:
            await self._make_partitions()
        except AWAY as error:
            if self.db.apart is None:
                raise
            log.warning("the outcomes' own database is away, started without it: %s", first_line(error))
        self.writer.process_id = self.process.id
        if self.replay is not None:
            await self._start_spool(self.replay)
        self.lines.start(self.process.id)
        self.lane.start(self.process.id)
        self._loop.start()

    async def _start_spool(self, replay: Replay) -> None:
        try:
            await replay.spool.start()
        except OSError as error:
            self.replay = None
            self.no_spool = f"{replay.spool.root} cannot be written: {error.strerror}."
            log.error("while the database is away outcomes are refused, not spooled: %s", self.no_spool)
            return
        if not self.no_spool:
            self.spool, self.writer.keep = replay.spool, self._keep
            self.queue.wait_max_s = PATIENCE_S["queue"]
        replay.start(self.process.id)

    async def _make_partitions(self) -> None:
        await partitions.ensure_all(self.db.of_outcomes, shared_clock.now(), self.env)

    @property
    def away(self) -> bool:
        """Whether what comes goes to the spool at once: the last flush failed, and none has succeeded since."""
        return self.spool is not None and bool(self.writer.failing) and not self.writer.unplaced

    def away_for(self, rows: bool) -> bool:
        """The same for a batch, by whether it brings raw outcomes: without any it needs no database of theirs."""
        return self.away and (rows or not self.writer.rows_only)

    async def counted(self, decoded: Decoded, sent: SentBatch) -> Counted | None:
        """Count a batch; None: it has to be spooled, the database is needed to count it.

        ApiError UNAVAILABLE without a spool.
        """
        if self.spool is None:
            return await self.numbering.counted(decoded, sent)
        if self.away_for(sent.keep_rows or bool(sent.lines)):
            return None
        try:
            return self.numbering.count(decoded, sent)
        except Unnumbered:  # only now the database is needed: to set a time for it costs a tenth of a request
            clock = self.writer.clock
            until = clock.now() + PATIENCE_S["numbering"]
            with contextlib.suppress(ApiError, TimeoutError):
                async with clock.timeout(PATIENCE_S["numbering"] + CUT_S):
                    return await self.numbering.counted(decoded, sent, lambda: until - clock.now())
            return None

    async def store(self, sent: SentBatch, counted: Counted | None, metered: Metered | None = None) -> StoredBatch:
        """Store a batch; returns after the commit, or once it is in the spool, where what is metered never goes.

        Raises ApiError IN_FLIGHT, IDEMPOTENCY_MISMATCH, QUEUE_FULL, UNAVAILABLE.
        """
        if not sent.keyed:
            return await self._stored(sent, counted, None, metered)
        if sent.digest in self._claimed:
            raise in_flight()
        self._claimed.add(sent.digest)
        try:
            return await self._stored(sent, counted, Claim(sent.digest, sent.body_digest, sent.answer), metered)
        finally:
            self._claimed.discard(sent.digest)

    async def _stored(
        self, sent: SentBatch, counted: Counted | None, claim: Claim | None, metered: Metered | None
    ) -> StoredBatch:
        if metered is not None:
            if counted is None:
                raise ApiError("UNAVAILABLE", METERED_AWAY, retry_after=1)
            batch = Batch(counted, sent.answer, claim, metered=metered)
        elif self.spool is None:
            assert counted is not None, "without a spool what cannot be counted is refused"
            batch = Batch(
                counted, sent.answer, claim, lines=line_rows(sent.lines, sent.at), item_claims=sent.item_claims
            )
        elif counted is None or self._waits(claim) or (self.queue.full and await self._has_room(self.spool)):
            return await self.spool.keep(sent)
        else:
            batch = Batch(counted, sent.answer, claim, sent, line_rows(sent.lines, sent.at), sent.item_claims)
        self.queue.put(batch)
        self._gauge()
        return await batch.done

    def _waits(self, claim: Claim | None) -> bool:
        """Whether a batch with that key waits to be replayed: in the database another could come before it."""
        replay = self.replay
        if claim is None or replay is None or not replay.waits:
            return False
        return replay.spool.folder.keys.seen(claim.digest)

    async def _has_room(self, spool: Spool) -> bool:
        """Whether the spool takes more, looked at anew; where it does not, what does not fit is too much load."""
        await spool.look()
        return self.takes

    async def _keep(self, flush: Flush) -> None:
        """Spool what a flush could not store in time. What then still is not settled, the writer answers."""
        unsure = set(flush.winners) if flush.unsure else set()
        await asyncio.gather(*(self._keep_one(batch, flush if batch in unsure else None) for batch in flush.batches))

    async def _keep_one(self, batch: Batch, unsure: Flush | None) -> None:
        if self.spool is None or batch.done.done():
            return
        if batch.sent is None:
            if unsure is None:
                batch.settle(ApiError("UNAVAILABLE", METERED_AWAY, retry_after=1))
            return
        if unsure is not None:
            batch.sent.xid, (batch.sent.writer_id, batch.sent.seq) = unsure.xid, unsure.counted_as
        try:
            batch.settle(await self.spool.keep(batch.sent))
        except ApiError as error:
            if unsure is None:
                batch.settle(error)

    def _replayed(self, seconds: float) -> None:
        """The spool has stored something in so long: the database is there."""
        if not slow("flush", seconds):
            self.writer.worked()

    async def _next(self) -> list[Batch]:
        """The next flush. While storing fails it looks by itself whether that has ended: a router that
        asks `ready` sends nothing until it has."""
        while self.writer.failing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    return await self.queue.take()
            await self._probe()
        return await self.queue.take()

    async def _probe(self) -> None:
        self._probed_at = time.monotonic()
        if self.spool is not None:
            await self.spool.look()
        if self.replay is not None and self.replay.waits:  # what it stores is the probe
            self.replay.wake()
            return
        try:
            await self.writer.probe()
        except Exception:
            log.exception("whether storing works again could not be found out")

    async def _flush(self) -> None:
        """Wait for batches and store them: one flush at a time, and meanwhile the next gathers."""
        batches = await self._next()
        self._flushing_since = started = time.monotonic()
        try:
            fresh = await self._fresh(batches)
            if fresh:
                await self._store(fresh)
        except Exception:
            log.exception("flush failed")
        for batch in batches:  # settled already, but for a fault of ours
            batch.settle(ApiError("INTERNAL", "Evenkeel failed to store this batch; the log has the cause."))
        self._flushing_since = None
        if self.writer.unplaced and time.monotonic() - self._probed_at > PROBE_S:
            await self._probe()
        metrics.ingest_flushed(time.monotonic() - started)
        self.queue.release(batches)
        self._gauge()

    async def _store(self, batches: Sequence[Batch]) -> None:
        began = self.writer.clock.now()
        await self.writer.store(batches, REFUSED_AFTER_S if self.spool is None else PATIENCE_S["flush"])
        took_s = self.writer.clock.now() - began
        self.queue.admission.saw(sum(batch.items for batch in batches), took_s, stored=not self.writer.failing)

    async def _fresh(self, batches: Sequence[Batch]) -> list[Batch]:
        """Those that the database may still be asked to store; the others are spooled, all while it is away."""
        if self.spool is None:
            return list(batches)
        now = self.writer.clock.now()
        late = {batch for batch in batches if slow("queue", now - batch.queued) or self.away_for(batch.raw)}
        if late:
            await self._keep(Flush([batch for batch in batches if batch in late]))
        return [batch for batch in batches if batch not in late]

    def _gauge(self) -> None:
        gauges = self.process.gauges
        gauges.queue_items, gauges.queue_bytes = self.queue.items, self.queue.bytes
        gauges.flush_items = self.queue.admission.items

    def count_own(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Evenkeel's own request, on the own lane; cheap. `seconds` None: it was refused on purpose."""
        self.lane.count(route, method, status, seconds)

    def accepted(self, key_id: int, services: Mapping[str, int], items: int, bytes_: int, ahead_us: int = 0) -> None:
        """A request that was stored; `services` maps each to its items. The clock of its sender was so much ahead."""
        metrics.ingest_accepted(1, items, bytes_)
        self.tally.add(
            shared_clock.now(), key_id, ACCEPTED, services=services, items=items, size=bytes_, ahead_us=ahead_us
        )

    def refused(
        self, key_id: int, services: Mapping[str, int] | None, reason: str, items: int | None, bytes_: int
    ) -> None:
        """A request that was refused for `reason`, an error code; None: not known."""
        metrics.ingest_refused(reason, items)
        if reason == "QUEUE_FULL":
            self.overload.refused(shared_clock.now())
        self.tally.add(shared_clock.now(), key_id, reason, services=services, items=items, size=bytes_)

    def abandoned(self, key_id: int, services: Mapping[str, int], receiver: str) -> None:
        """Requests that ended without an answer, and nobody knows whether they failed: counted, and in no ratio."""
        now = shared_clock.now()
        for service, items in services.items():
            self.tally.add_items(now, key_id, ABANDONED, items, service)
            self.received.add(now, receiver, key_id, ABANDONED, requests=0, items=items)

    def lost(self, key_id: int, lost: LostLines) -> None:
        """Lines that a platform has thrown away: over the time that it says, as far back as anybody looks."""
        now = shared_clock.now()
        until = min(lost.until / 1_000_000, now)
        since = max(min(lost.since / 1_000_000, until), until - LOST_BACK_S)
        slots = range(int(since) // SLOT_S, int(until) // SLOT_S + 1)
        for slot in slots:
            self.tally.add_items(slot * SLOT_S, key_id, LOST, -(-lost.lines // len(slots)), lost.service)

    def refused_items(self, key_id: int, reason: str, items: int, receiver: str = HOT, said: str = "") -> None:
        """Items of a request whose others were stored, which came by a receiver; `said`: what is wrong with one."""
        metrics.ingest_refused_items(reason, items)
        self.tally.add_items(shared_clock.now(), key_id, reason, items)
        self.received.add(shared_clock.now(), receiver, key_id, reason, requests=0, items=items, said=said)

    @property
    def received(self) -> ReceivedTally:
        """What came in by each receiver."""
        return self.lane.received

    def depth(self) -> tuple[int, int]:
        """Items and bytes that wait or are being flushed."""
        return self.queue.items, self.queue.bytes

    @property
    def takes(self) -> bool:
        """Whether outcomes are kept durably though the database does not take them."""
        return self.spool is not None and not self.spool.refusing

    def waiting(self) -> SpoolWaiting:
        """What waits in the spool of this machine, as it was a moment ago."""
        if time.monotonic() - self._looked_at > LOOKED_S:
            self._waiting, self._looked_at = waiting_on_machine(root_of(self.env)), time.monotonic()
        return self._waiting

    def ready(self) -> tuple[bool, str]:
        """Whether outcomes can be accepted durably, and what was observed."""
        if not self._loop.running:
            return False, "not started"
        if self.writer.failing and not self.takes:
            return False, f"flushing fails: {self.writer.failing}"
        since = self._flushing_since
        if since is not None and time.monotonic() - since > STUCK_S:
            return False, f"a flush has lasted {time.monotonic() - since:.0f} s"
        if self.queue.full and not self.takes:
            return False, f"the queue is full: {self.queue.items} items, {self.queue.bytes} bytes"
        return True, f"{self.queue.items} items wait"

    async def close(self) -> None:
        """Flush what was taken in, then stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.queue.empty.wait()
        await self._loop.close()
        if self.replay is not None:
            await self.replay.close()
        await self.lines.close()
        await self.lane.close()
        await self.writer.close()
        await self.numbering.close()
        await self.throttle.close()
