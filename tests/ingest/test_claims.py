"""Idempotency keys: the first answer again, and nobody is stalled."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from server.ingest.batch import Batch, StoredBatch
from server.kernel.errors import ApiError
from tests.ingest.bench import Bench, bench, claim
from tests.ingest.making import outcome, value


@pytest.mark.gen_test
async def test_a_repeat_gets_the_first_answer_and_counts_nothing(database_url: str) -> None:
    it = await bench(database_url)
    first = await it.batch(outcome(), claim=claim("a", answer=b"first"))
    await it.writer.store([first], 5)
    again = await it.batch(outcome(), claim=claim("a", answer=b"second"))
    other = await it.batch(outcome(), claim=claim("a", body="another"))
    new = await it.batch(outcome(), claim=claim("b"))
    await it.writer.store([again], 5)
    await it.writer.store([other, new], 5)
    assert await first.done == StoredBatch(b"first", repeated=False)
    assert await again.done == StoredBatch(b"first", repeated=True)
    with pytest.raises(ApiError) as raised:
        await other.done
    assert raised.value.code == "IDEMPOTENCY_MISMATCH"
    assert not (await new.done).repeated
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    assert value(database_url, "SELECT sum(n) FROM deltas") == 2
    await it.close()


@pytest.mark.gen_test
async def test_a_key_that_another_process_is_storing_is_in_flight_and_stalls_nobody(database_url: str) -> None:
    it = await bench(database_url)
    async with await psycopg.AsyncConnection.connect(database_url) as elsewhere:
        await elsewhere.execute(
            "INSERT INTO idempotency (digest, body, answer) VALUES (%s, %s, 'x')", (claim("b").digest, claim("b").body)
        )
        batches = [await it.batch(outcome(), claim=claim(key)) for key in "abc"] + [await it.batch(outcome())]
        started = time.monotonic()
        await it.writer.store(batches, 5)
        assert time.monotonic() - started < 20
        with pytest.raises(ApiError) as raised:
            await batches[1].done
        assert raised.value.code == "IN_FLIGHT"
        for batch in (batches[0], batches[2], batches[3]):
            assert not (await batch.done).repeated
        await elsewhere.rollback()
    assert value(database_url, "SELECT sum(n) FROM deltas") == 3
    await it.close()


@pytest.mark.gen_test
async def test_writers_that_claim_in_opposite_order_do_not_deadlock(database_url: str) -> None:
    first, second = await bench(database_url), await bench(database_url)

    async def store(it: Bench, keys: list[int]) -> list[Batch]:
        batches = [await it.batch(outcome(), claim=claim(f"k{key:03}")) for key in keys]
        await it.writer.store(batches, 5)
        return batches

    for start in range(0, 200, 20):
        keys = list(range(start, start + 20))
        groups = await asyncio.gather(store(first, keys), store(second, keys[::-1]))
        done = await asyncio.gather(*[batch.done for group in groups for batch in group], return_exceptions=True)
        assert all(isinstance(one, StoredBatch) or getattr(one, "code", "") == "IN_FLIGHT" for one in done)
        assert sum(isinstance(one, StoredBatch) and not one.repeated for one in done) == 20
    assert value(database_url, "SELECT sum(n) FROM deltas") == 200
    assert value(database_url, "SELECT count(*) FROM outcomes") == 200
    await first.close()
    await second.close()
