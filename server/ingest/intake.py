"""Outcomes in: counts them, queues them for the next flush, and answers after its commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from server.ingest import partitions
from server.ingest.batch import Batch, Queue, StoredBatch
from server.ingest.count import Counted, Unnumbered, count
from server.ingest.decode import Decoded
from server.ingest.flush import in_flight
from server.ingest.lane import Lane
from server.ingest.numbering import Numbering
from server.ingest.series import Caps, SendingKey
from server.ingest.skew import Skews
from server.ingest.tally import ACCEPTED, IntakeTally
from server.ingest.throttle import Throttle
from server.ingest.writer import Writer
from server.kernel import shared_clock
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.loop import Loop
from server.kernel.settings import Environment
from server.process.process import Process
from server.process.reserve import reserve_of
from server.telemetry import metrics

log = logging.getLogger("evenkeel.intake")

PATIENCE_S = 10.0
CLOSE_S = 8.0  # after the requests in flight have had their time; all in all under 25 s
PROBE_S = 1.0  # between two looks at whether storing works again
STUCK_S = 5.0  # a flush that lasts longer: not able to accept durably
RECOUNTS = 5


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
        self.queue = Queue()
        self.tally = IntakeTally(env.services_max)
        self.throttle = Throttle(env.redis_url)
        self.numbering = Numbering(db, Caps(env.services_max, env.routes_max, env.versions_max), shared_clock.now)
        self.writer = Writer(db, "ingest", policies.thresholds_us, self._make_partitions, reserve=reserve)
        self.lane = Lane(db, self.numbering, policies.thresholds_us, self.tally, reserve)
        self.skews = Skews()
        self._claimed: set[bytes] = set()  # idempotency digests being stored by this process
        self._probed_at = 0.0  # monotonic
        self._flushing_since: float | None = None  # monotonic
        self._loop = Loop("flushing", self._flush, 0, retry_s=PROBE_S)

    async def start(self) -> None:
        """Begin to flush; today's partitions are made where the watch has not done so."""
        await self._make_partitions()
        self.writer.process_id = self.process.id
        self.lane.start(self.process.id)
        self._loop.start()

    async def _make_partitions(self) -> None:
        await partitions.ensure_partitions(self.db, shared_clock.now(), self.env.outcome_retention_days)

    async def store(self, batch: Batch) -> StoredBatch:
        """Store a batch; returns after the commit.

        Raises ApiError IN_FLIGHT, IDEMPOTENCY_MISMATCH, QUEUE_FULL, UNAVAILABLE.
        """
        claim = batch.claim
        if claim is None:
            return await self._queued(batch)
        if claim.digest in self._claimed:
            raise in_flight()
        self._claimed.add(claim.digest)
        try:
            return await self._queued(batch)
        finally:
            self._claimed.discard(claim.digest)

    async def _queued(self, batch: Batch) -> StoredBatch:
        self.queue.put(batch)
        self._gauge()
        return await batch.done

    async def count(self, decoded: Decoded, keep_rows: bool, sender: SendingKey) -> Counted:
        """Count a batch, numbering the series that are new; ApiError UNAVAILABLE where that cannot be done."""
        random = os.urandom(10) if keep_rows else None
        find = partial(self.numbering.find, sender=sender)
        for _ in range(RECOUNTS):
            try:
                return count(decoded.outcomes, decoded.times, find, random)
            except Unnumbered as unnumbered:
                await self.numbering.number(unnumbered.spellings, sender, unnumbered.spellings)
        raise ApiError("UNAVAILABLE", "The series of this batch could not be numbered; send it again.", retry_after=1)

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
        try:
            await self.writer.probe()
        except Exception:
            log.exception("whether storing works again could not be found out")

    async def _flush(self) -> None:
        """Wait for batches and store them: one flush at a time, and meanwhile the next gathers."""
        batches = await self._next()
        self._flushing_since = started = time.monotonic()
        try:
            await self.writer.store(batches, PATIENCE_S)
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

    def _gauge(self) -> None:
        gauges = self.process.gauges
        gauges.queue_items, gauges.queue_bytes = self.queue.items, self.queue.bytes

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
        self.tally.add(shared_clock.now(), key_id, reason, services=services, items=items, size=bytes_)

    def refused_items(self, key_id: int, reason: str, items: int) -> None:
        """Items of a request whose others were stored."""
        metrics.ingest_refused_items(reason, items)
        self.tally.add_items(shared_clock.now(), key_id, reason, items)

    def depth(self) -> tuple[int, int]:
        """Items and bytes that wait or are being flushed."""
        return self.queue.items, self.queue.bytes

    def ready(self) -> tuple[bool, str]:
        """Whether outcomes can be accepted durably, and what was observed."""
        if not self._loop.running:
            return False, "not started"
        if self.writer.failing:
            return False, f"flushing fails: {self.writer.failing}"
        since = self._flushing_since
        if since is not None and time.monotonic() - since > STUCK_S:
            return False, f"a flush has lasted {time.monotonic() - since:.0f} s"
        if self.queue.full:
            return False, f"the queue is full: {self.queue.items} items, {self.queue.bytes} bytes"
        return True, f"{self.queue.items} items wait"

    async def close(self) -> None:
        """Flush what was taken in, then stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.queue.empty.wait()
        await self._loop.close()
        await self.lane.close()
        await self.writer.close()
        await self.numbering.close()
        await self.throttle.close()
