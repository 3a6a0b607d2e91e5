"""One request's outcomes on their way into the database, and the queue where they wait for a flush."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from server.ingest.admission import Admission
from server.ingest.counted import Counted
from server.ingest.lines.line import NO_LINES, LineRows
from server.ingest.sent import SentBatch
from server.kernel.errors import ApiError
from server.kernel.loop_clock import LoopClock
from server.receivers.otlp.meters import MeterReading

# Beside the encoded rows: a duration in a list, and its share of the cells.
BYTES_AN_ITEM = 48

ITEMS_MAX = 100_000
BYTES_MAX = 24 * 1024 * 1024
WAIT_MAX_S = 8.0
FORESEEN_MAX_S = 2.0  # that a batch would wait: more is refused at once; what can be spooled is
GATHER_MAX_S = 0.005
QUIET_TURNS = 4  # as many as a request takes from its first byte to the queue

FULL = "More waits to be stored than fits. Nothing of this was stored: send it again."


class Claim(NamedTuple):
    """An Idempotency-Key: digests of the key in its scope and of the body, and the answer to keep."""

    digest: bytes
    body: bytes
    answer: bytes


class Metered(NamedTuple):
    """What cumulative points count: their readings, and by outcome which of them it is of."""

    readings: Sequence[MeterReading]
    of: Sequence[int]


class StoredBatch(NamedTuple):
    """The answer; `repeated` where it is that of an earlier request, `spooled` where it waits for the database."""

    answer: bytes
    repeated: bool
    spooled: bool = False


@dataclass(slots=True, eq=False)
class Batch:
    """A counted request. `done` gets a Stored, or an ApiError, after the commit.

    `sent` is what it was counted from, None where that is not kept: it cannot be spooled then.
    """

    counted: Counted
    answer: bytes
    claim: Claim | None
    sent: SentBatch | None = None
    lines: LineRows = NO_LINES
    item_claims: bytes = b""  # 16 bytes an item, by which each is counted once; empty: the claim alone says that
    metered: Metered | None = None  # the outcomes of a reading that another came before are not stored
    queued: float = 0.0  # since when it waits for a flush, by the queue's clock
    done: asyncio.Future[StoredBatch] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def items(self) -> int:
        return self.counted.items + self.lines.n

    @property
    def size(self) -> int:
        """Bytes in memory, nearly."""
        return len(self.counted.rows) + len(self.lines.rows) + BYTES_AN_ITEM * self.counted.items

    @property
    def raw(self) -> bool:
        """Whether it brings rows into the outcomes' database."""
        return bool(self.counted.rows or self.lines.rows)

    def settle(self, stored: StoredBatch | ApiError) -> None:
        """Answer the sender, unless it has gone."""
        if self.done.done():
            return
        if isinstance(stored, ApiError):
            self.done.set_exception(stored)
            self.done.exception()  # looked at, also where the sender has gone
        else:
            self.done.set_result(stored)


class Queue:
    """Bounded in items, bytes and time, first come first served. `items`, `bytes`: what waits and is being flushed."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.admission = Admission()
        self.wait_max_s = FORESEEN_MAX_S
        self.items = 0
        self.bytes = 0
        self._waiting: deque[Batch] = deque()
        self._arrived = asyncio.Event()
        self.empty = asyncio.Event()  # nothing waits and nothing is being flushed
        self.empty.set()

    def put(self, batch: Batch) -> None:
        """Add a batch; raises ApiError QUEUE_FULL. An empty queue takes any batch."""
        if self.full and self.items:
            raise ApiError("QUEUE_FULL", FULL, retry_after=1)
        batch.queued = self.clock.now()
        self.items += batch.items
        self.bytes += batch.size
        self._waiting.append(batch)
        self._arrived.set()
        self.empty.clear()

    @property
    def full(self) -> bool:
        """Whether one more would not fit, or wait for longer than it may."""
        if self.items >= ITEMS_MAX or self.bytes >= BYTES_MAX:
            return True
        return self.admission.wait_s(self.items) > self.wait_max_s

    async def take(self) -> list[Batch]:
        """The next flush: at least one batch, in the order of arrival."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        await self._gather()
        taken: list[Batch] = []
        items = 0
        while self._waiting and (not taken or self._fits(taken[0], items)):
            batch = self._waiting.popleft()
            # What can be spooled is, by who takes it.
            if batch.sent is None and self.clock.now() - batch.queued > WAIT_MAX_S:
                self._expire(batch)
                continue
            taken.append(batch)
            items += batch.items
        return taken

    def _fits(self, first: Batch, items: int) -> bool:
        """Whether the next one goes into the flush of `first`, which has so many items: a flush has cells of one kind,
        timed or not."""
        following = self._waiting[0]
        return following.counted.timed is first.counted.timed and items + following.items <= self.admission.items

    async def _gather(self) -> None:
        """Let requests that are here already join this flush: a few turns of the loop, without sleeping."""
        deadline = time.monotonic() + GATHER_MAX_S
        quiet = 0
        while quiet < QUIET_TURNS and time.monotonic() < deadline:
            before = len(self._waiting)
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == before else 0

    def _expire(self, batch: Batch) -> None:
        batch.settle(
            ApiError("UNAVAILABLE", "The database does not answer. Nothing was stored; send it again.", retry_after=2)
        )
        self.release([batch])

    def release(self, batches: list[Batch]) -> None:
        """These are settled and make room."""
        for batch in batches:
            self.items -= batch.items
            self.bytes -= batch.size
        if not self.items and not self._waiting:
            self.empty.set()
