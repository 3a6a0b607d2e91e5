"""One flush: one transaction that claims keys, copies outcomes, then their deltas."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from psycopg.errors import LockNotAvailable

from server.ingest import apart_store, item_store, store
from server.ingest.batch import Batch, Claim, StoredBatch
from server.ingest.count import delta_rows
from server.ingest.counted import Thresholds
from server.ingest.item_claims import items_in
from server.ingest.known_items import ItemLook, KnownItems
from server.ingest.telemetry import meter_store
from server.kernel import shared_clock
from server.kernel.connection import Connection
from server.kernel.db import LIMITS, local, setting
from server.kernel.errors import ApiError
from server.tables.binary import BEGIN, END

# Claims wait for one another only in the order of their digests, and only so long (TRAPS: Idempotency keys).
CLAIMS_WAIT = "250ms"
EACH_CLAIM_WAITS = "1ms"
CLAIMED = setting("SET LOCAL", LIMITS)


@dataclass(slots=True)
class Flush:
    """What one transaction stores, and how each batch fares in it."""

    batches: Sequence[Batch]
    deltas: bytes = b""  # as copied, to find out later whether the commit happened
    winners: list[Batch] = field(default_factory=list)
    repeats: list[Batch] = field(default_factory=list)
    unsure: bool = False  # COMMIT was sent
    counted_as: tuple[int, int] = (0, 0)  # the writer, and its sequence number of the deltas whose COMMIT was sent
    xid: int = 0  # of the transaction, where `traced`
    traced: bool = False  # whether the commit happened may be asked long after, by its number
    keys_kept_s: int = 0  # longer than other keys
    less: dict[Batch, Batch] = field(default_factory=dict)  # those without the items that were counted before
    look: ItemLook | None = None  # for items that were; None: it brings none

    @property
    def brought(self) -> list[Batch]:
        """The winners, with what of them was not counted before."""
        return [self.less.get(batch, batch) for batch in self.winners]

    @property
    def raw(self) -> list[Batch]:
        """Those of them that bring rows into the outcomes' database."""
        return [batch for batch in self.brought if batch.raw]

    def forget(self) -> None:
        """Begin again: what was tried was not committed."""
        self.deltas, self.winners, self.repeats, self.less = b"", [], [], {}
        self.unsure, self.xid, self.counted_as, self.look = False, 0, (0, 0), None


async def begin(connection: Connection, flush: Flush) -> None:
    """Open the transaction and decide which batches it stores."""
    if not any(batch.claim for batch in flush.batches):
        await open_(connection, flush, local(connection))
        flush.winners = list(flush.batches)
        return
    await open_(connection, flush, local(connection, lock_timeout=CLAIMS_WAIT))
    try:
        won = await claim(connection, flush, flush.batches)
    except LockNotAvailable:
        await connection.execute("ROLLBACK")
        flush.forget()
        await open_(connection, flush, local(connection, lock_timeout=EACH_CLAIM_WAITS))
        won = await claim_each(connection, flush)
    await connection.execute(CLAIMED)
    for batch in flush.batches:
        (flush.winners if batch in won else flush.repeats).append(batch)


async def open_(connection: Connection, flush: Flush, settings: str) -> None:
    if flush.traced:
        flush.xid = await store.begin_traced(connection, settings)
    else:
        await connection.execute(f"BEGIN; {settings}")


async def claim(connection: Connection, flush: Flush, batches: Sequence[Batch]) -> set[Batch]:
    """Those of the batches that are ours to store, with what of their items was not counted before."""
    claims = sorted(batch.claim for batch in batches if batch.claim)
    ours = await store.claim(connection, claims, flush.keys_kept_s) if claims else set()
    won = [batch for batch in batches if batch.claim is None or batch.claim.digest in ours]
    await move_meters(connection, flush, [batch for batch in won if batch.metered])
    return set(won)


async def leave_out_counted(connection: Connection, flush: Flush, known: KnownItems) -> None:
    """Leave out of the winners the items that were counted before, as far as that is committed now."""
    batches = [batch for batch in flush.winners if batch.item_claims]
    brought = [items_in(batch.item_claims) for batch in batches]
    left = set().union(*brought)
    if not left:
        return
    flush.look = known.look(left, shared_clock.now())
    known.read(flush.look, await item_store.newer_chunks(connection, flush.look.seen))
    flush.look.counted.update(await item_store.claimed_before(connection, list(left)))
    if not flush.look.counted and len(left) == sum(map(len, brought)):
        return
    left -= flush.look.counted
    for batch, items in zip(batches, brought, strict=True):
        repeated: set[int] = set()
        for place, item in enumerate(items):
            if item in left:
                left.remove(item)
            else:
                repeated.add(place)
        if repeated:
            flush.less[batch] = replace(batch, counted=batch.counted.without(repeated))


async def claim_items(connection: Connection, flush: Flush, known: KnownItems) -> bool:
    """Claim the items that are counted now, the last thing before the commit: who does holds up all others.

    False: another process has counted some of them since they were looked for, and nothing was claimed.
    """
    look = flush.look
    while look is not None and look.left:
        newer = await item_store.claim(connection, look)
        if not newer:
            break
        if known.read(look, newer):
            return False
    return True


async def move_meters(connection: Connection, flush: Flush, batches: Sequence[Batch]) -> None:
    """Move the meters of these batches on; what readings count that do not go on the last one is left out."""
    if not batches:
        return
    readings = [reading for batch in batches if batch.metered for reading in batch.metered.readings]
    moved = iter(await meter_store.move(connection, readings))
    for batch in batches:
        assert batch.metered is not None
        stale = {place for place in range(len(batch.metered.readings)) if not next(moved)}
        if stale:
            left_out = {place for place, reading in enumerate(batch.metered.of) if reading in stale}
            flush.less[batch] = replace(batch, counted=batch.counted.without(left_out))


async def claim_each(connection: Connection, flush: Flush) -> set[Batch]:
    """Claim one by one, and leave out those that another process is storing now."""
    won: set[Batch] = set()
    for batch in flush.batches:
        with contextlib.suppress(LockNotAvailable):
            async with connection.transaction():
                won |= await claim(connection, flush, [batch])
    return won


async def copy_rows(connection: Connection, batches: Sequence[Batch]) -> None:
    """Copy the raw outcomes and log lines that batches bring; the transaction stays open."""
    for statement, rows in (
        (store.COPY_OUTCOMES, [batch.counted.rows for batch in batches if batch.counted.rows]),
        (store.COPY_LINES, [batch.lines.rows for batch in batches if batch.lines.rows]),
    ):
        if rows:
            await store.copy_binary(connection, statement, b"".join([BEGIN, *rows, END]))


async def copy_rows_apart(apart: Connection, flush: Flush) -> None:
    """Commit the rows in their own database, with a mark by which they are swept if they are never counted."""
    cells = [cell for batch in flush.raw if batch.counted.rows for cell in batch.counted.cells]
    seconds = [second for _, second in cells]
    seconds += [second for batch in flush.raw if batch.lines.n for second in (batch.lines.first, batch.lines.last)]
    await apart.execute(f"BEGIN; {local(apart)}")
    await apart_store.mark(apart, flush.xid, sorted({series.id for series, _ in cells}), min(seconds), max(seconds))
    await copy_rows(apart, flush.raw)
    await apart.execute("COMMIT")


async def copy_deltas(connection: Connection, flush: Flush, writer_id: int, seq: int, thresholds: Thresholds) -> None:
    """Copy what counts the winners; the transaction stays open."""
    deltas = delta_rows(writer_id, seq, [batch.counted for batch in flush.brought], thresholds)
    if deltas:
        flush.deltas = BEGIN + deltas + END
        await store.copy_binary(connection, store.COPY_DELTAS, flush.deltas)


async def settle(connection: Connection, flush: Flush) -> None:
    """After the commit: answer every batch."""
    for batch in flush.winners:
        batch.settle(StoredBatch(batch.answer, repeated=False))
    if not flush.repeats:
        return
    digests = [batch.claim.digest for batch in flush.repeats if batch.claim]
    answers = await store.stored_answers(connection, digests)
    for batch in flush.repeats:
        assert batch.claim is not None
        batch.settle(repeated(batch.claim, answers.get(batch.claim.digest)))


def repeated(claim: Claim, stored: tuple[bytes, bytes] | None) -> StoredBatch | ApiError:
    """What a request gets whose Idempotency-Key was taken."""
    if stored is None:
        return in_flight()
    body, answer = stored
    if body != claim.body:
        return mismatch()
    return StoredBatch(answer, repeated=True)


def mismatch() -> ApiError:
    return ApiError(
        "IDEMPOTENCY_MISMATCH", "This Idempotency-Key was sent before with another body. Nothing was stored."
    )


def in_flight() -> ApiError:
    return ApiError(
        "IN_FLIGHT",
        "A request with this Idempotency-Key is being stored; nothing more was stored. Send it again for its answer.",
        retry_after=1,
    )
