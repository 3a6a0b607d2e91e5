"""Items are counted once, whoever brings them and whenever: against a set, and on PostgreSQL step by step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest import flush as flushes
from server.ingest import item_store, known_items, retention_store
from server.ingest.batch import Batch
from server.ingest.flush import Flush
from server.ingest.item_claims import by_second, item_of, items_in
from server.ingest.known_items import ItemChunk, ItemLook, KnownItems, is_in
from server.kernel import shared_clock
from tests.examples import examples
from tests.ingest.bench import Bench, bench
from tests.ingest.making import outcome, rows, value
from tests.waiting import until

NOW = 1_000
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def item(number: int, second: int = NOW) -> bytes:
    return item_of(second, b"%012d" % number)


class ChunkTable:
    """The table of chunks, in memory."""

    def __init__(self) -> None:
        self.chunks: list[ItemChunk] = []

    def newer(self, seen: dict[int, int]) -> list[ItemChunk]:
        return [one for one in self.chunks if one.number > seen.get(one.second, 2**62)]

    def claim(self, look: ItemLook) -> None:
        look.claimed = {second: len(self.chunks) + place for place, second in enumerate(look.left, 1)}
        self.chunks += [ItemChunk(second, look.claimed[second], items) for second, items in look.left.items()]


SECONDS = st.sampled_from([0, NOW - 5000, NOW - 1, NOW])
TAKEN = st.lists(st.tuples(SECONDS, st.integers(0, 30)), min_size=1, max_size=40, unique=True)
# Whose flush it is, of two processes; what it brings; what others store between its look and its claim.
FLUSHES = st.lists(st.tuples(st.integers(0, 1), TAKEN, st.none() | TAKEN, st.booleans()), max_size=12)


@given(FLUSHES, st.sampled_from([(0, 1), (10, 3), (100_000, 50)]))
def test_what_is_known_is_what_a_set_says(made: list[Any], bounds: tuple[int, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_items, "HELD_MAX", bounds[0])
        patch.setattr(known_items, "MANY", bounds[1])
        table, processes, oracle = ChunkTable(), (KnownItems(), KnownItems()), set[bytes]()
        for process, brought, between, committed in made:
            known, wanted = processes[process], {item(number, second) for second, number in brought}
            look = known.look(wanted, NOW)
            known.read(look, table.newer(look.seen))
            assert look.counted == wanted & oracle
            if between:
                new = {item(number, second) for second, number in between} - oracle
                table.claim(ItemLook(by_second(new)))
                oracle |= new
                assert known.read(look, table.newer(look.seen)) == bool(wanted & new)
            assert set().union(*map(items_in, look.left.values())) == wanted - oracle
            if committed:
                table.claim(look)
                known.committed(look)
                oracle |= wanted


def test_an_item_is_found_where_items_begin() -> None:
    inside = item(1)[8:] + item(2)[:8]
    assert not is_in(inside, item(1) + item(2))
    assert is_in(inside, item(1) + item(2) + inside)
    assert not is_in(item(3), b"")


async def batch(it: Bench, *items: bytes) -> Batch:
    made = await it.batch(*[outcome() for _ in items])
    made.item_claims = b"".join(items)
    return made


async def begun(it: Bench, connection: Any, known: KnownItems, *items: bytes) -> Flush:
    """A flush that has looked for its items, and not claimed them."""
    flush = Flush([await batch(it, *items)])
    await flushes.begin(connection, flush)
    await flushes.leave_out_counted(connection, flush, known)
    return flush


async def store(it: Bench, *items: bytes) -> None:
    await it.writer.store([await batch(it, *items)], 20)


def counted(url: str) -> int:
    return int(value(url, "SELECT coalesce(sum(n), 0) FROM deltas"))


@pytest.mark.gen_test
@pytest.mark.parametrize("now", [NOW, NOW + 5_000], ids=["held", "searched"])
async def test_another_process_comes_at_each_step(database_url: str, now: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_clock, "now", lambda: float(now))
    it, known = await bench(database_url), KnownItems()
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        # It comes between the look and the claim: with the same item, and with another one of that second.
        flush = await begun(it, other, known, item(1), item(2))
        await store(it, item(2), item(3))
        assert not await flushes.claim_items(other, flush, known)
        await other.execute("ROLLBACK")
        flush = await begun(it, other, known, item(1), item(2))
        assert [one.counted.items for one in flush.brought] == [1]
        await store(it, item(4))
        assert await flushes.claim_items(other, flush, known)
        # It comes after the claim and before the commit: it waits, and counts what it alone has.
        waiting = asyncio.create_task(store(it, item(1), item(5)))
        await until(lambda: value(database_url, WAITS), "the other to wait")
        await other.execute("COMMIT")
        await waiting
        assert counted(database_url) == 4  # 2 and 3, 4, 5; `other` counts nothing in this test
        # The same, and the first one is undone.
        flush = await begun(it, other, known, item(6))
        assert await flushes.claim_items(other, flush, known)
        waiting = asyncio.create_task(store(it, item(6), item(7)))
        await until(lambda: value(database_url, WAITS), "the other to wait")
        await other.execute("ROLLBACK")
        await waiting
        assert counted(database_url) == 6
        await store(it, *[item(number) for number in range(1, 8)])
        assert counted(database_url) == 6
    chunks = b"".join(items for (items,) in rows(database_url, "SELECT items FROM item_chunks"))
    assert sorted(items_in(chunks)) == [item(number) for number in range(1, 8)]
    await it.close()


def drawn(seed: int) -> Iterable[list[bytes]]:
    """What a process stores: items of some seconds, many of which come again, there or elsewhere."""
    chance = random.Random(seed)
    for _ in range(15):
        yield [item(chance.randrange(60), NOW + chance.randrange(3)) for _ in range(chance.randrange(1, 20))]


@pytest.mark.gen_test
@pytest.mark.parametrize("seed", range(examples(8)))
async def test_processes_that_store_at_the_same_time_count_each_item_once(database_url: str, seed: int) -> None:
    processes = [await bench(database_url) for _ in range(3)]
    every = set[bytes]()

    async def work(it: Bench, own: int) -> None:
        for items in drawn(own):
            every.update(items)
            await store(it, *items)

    await asyncio.gather(*(work(it, seed * 10 + own) for own, it in enumerate(processes)))
    assert counted(database_url) == len(every)
    assert value(database_url, "SELECT sum(octet_length(items)) FROM item_chunks") == 16 * len(every)
    assert value(database_url, "SELECT count(*) FROM outcomes") == len(every)
    for it in processes:
        await it.close()


@pytest.mark.gen_test
async def test_what_the_release_before_has_counted_is_known_and_ages_out(database_url: str) -> None:
    it = await bench(database_url)
    with psycopg.connect(database_url, autocommit=True) as before:
        before.execute("INSERT INTO item_claims VALUES (%s), (%s)", (item(1), item(2, NOW + 1)))
        before.execute("INSERT INTO item_claims SELECT int8send(i) || int8send(i) FROM generate_series(1, 5000) i")
        asked = {"items": item(1) + item(2), "last": 1, "first": item(1)}
        plan = before.execute(f"EXPLAIN {item_store.CLAIMED_BEFORE}".encode(), asked).fetchall()
    assert not [line for (line,) in plan if "Seq Scan" in line]  # also of what is deleted there and not cleaned up yet
    await store(it, item(1), item(2), item(2, NOW + 1), item(3, NOW + 2))
    assert counted(database_url) == 2
    kept = item_of(int(shared_clock.now()), b"%012d" % 1)
    await store(it, kept)
    await retention_store.forget_old(it.db)
    assert rows(database_url, "SELECT items FROM item_chunks") == [(kept,)]
    assert value(database_url, "SELECT count(*) FROM item_claims") == 0
    await it.close()
