from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import psycopg
import pytest

from server.db import Database
from server.errors import ApiError
from server.ingest.batch import Batch, Claim, Stored
from server.ingest.count import Counted, count
from server.ingest.numbering import Numbering
from server.ingest.series import Caps
from server.ingest.writer import Writer
from server.live.sketch import bucket
from tests.ingest.making import decoded, outcome, ready_database, rows, value

CAPS = Caps(200, 200, 50)


class Bench:
    """A writer on a real database."""

    def __init__(self, url: str, db: Database) -> None:
        self.url = url
        self.db = db
        self.numbering = Numbering(db, CAPS, time.time)
        self.writer = Writer(db, "test writer", lambda service: (10_000, 300_000))

    async def counted(self, *outcomes: dict[str, Any], keep: bool = True) -> Counted:
        batch = decoded(*outcomes)
        spellings = {(o.service, o.version, o.route, o.method, o.status) for o in batch.outcomes}
        await self.numbering.number(spellings)
        return count(batch.outcomes, batch.times, self.numbering.find, os.urandom(10) if keep else None)

    async def batch(self, *outcomes: dict[str, Any], claim: Claim | None = None, keep: bool = True) -> Batch:
        return Batch(await self.counted(*outcomes, keep=keep), claim.answer if claim else b"{}", claim)

    async def close(self) -> None:
        await self.writer.close()
        await self.numbering.close()
        await self.db.close()


async def bench(url: str) -> Bench:
    return Bench(url, await ready_database(url))


def claim(key: str, body: str = "body", answer: bytes = b'{"accepted":1}') -> Claim:
    return Claim(key.encode().ljust(16), body.encode().ljust(16), answer)


@pytest.mark.gen_test
async def test_what_is_stored_is_what_was_sent(database_url: str) -> None:
    it = await bench(database_url)
    at = round(time.time() - 60) * 1000
    sent = [
        outcome(timestamp=at, request_id="r-1", duration_ms=10),
        outcome(timestamp=at + 1, request_id="r-é", duration_ms=300.0005, trace_id="t", client="c"),
        outcome(timestamp=at + 2, status=503, duration_ms=5, version="v1"),
        outcome(timestamp=at + 3, error=True, duration_ms=0),
        outcome(timestamp=at + 1000, status=500, error=False, duration_ms=1),
    ]
    batch = await it.batch(*sent)
    await it.writer.store([batch], 5)
    assert (await batch.done).repeated is False
    found = rows(
        database_url,
        "SELECT extract(epoch FROM at)::float8 * 1000, duration_us, bad, request_id, detail, service, version, status"
        " FROM outcomes JOIN series ON series.id = series_id ORDER BY at",
    )
    assert [row[0] for row in found] == [at, at + 1, at + 2, at + 3, at + 1000]
    assert [row[1] for row in found] == [10_000, 300_001, 5_000, 0, 1_000]
    assert [row[2] for row in found] == [False, False, True, True, False]
    assert [row[3] for row in found][:2] == ["r-1", "r-é"]
    assert found[1][4] == {"trace_id": "t", "client": "c"}
    assert found[0][4] is None
    assert found[2][5:] == ("checkout", "v1", 503)
    made = found[2][3]
    assert len(made) == 36
    assert made[14] == "7"
    assert made[19] in "89ab"
    deltas = rows(
        database_url,
        "SELECT n, bad, duration_us, fast, sketch, seq, writer_id FROM deltas JOIN series ON series.id = series_id"
        " ORDER BY status, second",
    )
    first = deltas[0]
    assert first[:3] == (3, 1, 10_000 + 300_001 + 0)
    assert first[3] == [10_000 << 32 | 1, 300_000 << 32 | 1]  # the bad one of 0 us is not fast
    assert first[4] == sorted([bucket(d) << 32 | 1 for d in (0, 10_000, 300_001)])
    assert {row[5] for row in deltas} == {1}
    assert sum(row[0] for row in deltas) == 5
    await it.close()


@pytest.mark.gen_test
async def test_rollups_only_keeps_counts_and_no_outcomes(database_url: str) -> None:
    it = await bench(database_url)
    await it.writer.store([await it.batch(*[outcome()] * 3, keep=False)], 5)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 0
    assert value(database_url, "SELECT sum(n) FROM deltas") == 3
    await it.close()


@pytest.mark.gen_test
async def test_a_thousand_made_request_ids_differ(database_url: str) -> None:
    it = await bench(database_url)
    for _ in range(3):
        await it.writer.store([await it.batch(*[outcome()] * 400), await it.batch(*[outcome()] * 400)], 5)
    assert value(database_url, "SELECT count(DISTINCT request_id) FROM outcomes") == 2400
    assert value(database_url, "SELECT bool_and(request_id::uuid::text = request_id) FROM outcomes")
    await it.close()


@pytest.mark.gen_test
async def test_a_flush_merges_its_batches_to_one_delta_a_series_and_second(database_url: str) -> None:
    it = await bench(database_url)
    at = int(time.time()) * 1000
    batches = [await it.batch(outcome(timestamp=at), outcome(timestamp=at, method="get")) for _ in range(5)]
    await it.writer.store(batches, 5)
    assert rows(database_url, "SELECT n, seq FROM deltas") == [(10, 1)]
    await it.close()


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
    assert await first.done == Stored(b"first", repeated=False)
    assert await again.done == Stored(b"first", repeated=True)
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
        assert all(isinstance(one, Stored) or getattr(one, "code", "") == "IN_FLIGHT" for one in done)
        assert sum(isinstance(one, Stored) and not one.repeated for one in done) == 20
    assert value(database_url, "SELECT sum(n) FROM deltas") == 200
    assert value(database_url, "SELECT count(*) FROM outcomes") == 200
    await first.close()
    await second.close()


def kill_writer(url: str) -> int:
    """Terminate the writer's backend; how many there were."""
    return len(
        rows(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ 'test writer'")
    )


@pytest.mark.gen_test
async def test_a_lost_connection_is_opened_again_and_nothing_is_lost_or_doubled(database_url: str) -> None:
    it = await bench(database_url)
    for _ in range(5):
        await it.writer.store([await it.batch(outcome(), outcome())], 5)
        assert kill_writer(database_url) == 1
    batch = await it.batch(outcome())
    await it.writer.store([batch], 5)
    await batch.done
    assert value(database_url, "SELECT count(*) FROM outcomes") == 11
    assert value(database_url, "SELECT sum(n) FROM deltas") == 11
    assert value(database_url, "SELECT count(*) FROM writers") == 1
    await it.close()


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.gen_test
async def test_a_commit_without_an_answer_is_resolved(
    database_url: str, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    it = await bench(database_url)
    await it.writer.store([await it.batch(outcome())], 5)
    connection = await it.writer._road.open()
    execute = connection.execute

    async def cut(statement: Any, *rest: Any, **options: Any) -> Any:
        if statement != "COMMIT":
            return await execute(statement, *rest, **options)
        if committed:
            await execute(statement)
        raise psycopg.OperationalError("the line went dead")

    monkeypatch.setattr(connection, "execute", cut)
    batch = await it.batch(outcome(), outcome(), claim=claim("key", answer=b"mine"))
    await it.writer.store([batch], 5)
    assert await batch.done == Stored(b"mine", repeated=False)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3
    assert value(database_url, "SELECT sum(n) FROM deltas") == 3
    assert rows(database_url, "SELECT DISTINCT seq FROM deltas ORDER BY 1") == (
        [(1,), (2,)] if committed else [(1,), (3,)]
    )
    await it.close()


@pytest.mark.gen_test
async def test_a_commit_that_stays_unknown_is_said_so_and_its_writer_never_used_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await bench(database_url)
    await it.writer.store([await it.batch(outcome())], 5)
    connection = await it.writer._road.open()
    execute = connection.execute

    async def cut(statement: Any, *rest: Any, **options: Any) -> Any:
        if statement == "COMMIT":
            monkeypatch.setattr(it.db, "url", "postgresql:///nowhere?host=/nowhere")
            raise psycopg.OperationalError("the line went dead")
        return await execute(statement, *rest, **options)

    monkeypatch.setattr(connection, "execute", cut)
    batch = await it.batch(outcome())
    await it.writer.store([batch], 0.3)
    with pytest.raises(ApiError) as raised:
        await batch.done
    assert raised.value.code == "UNAVAILABLE"
    assert raised.value.extra["unsure"] is True
    assert it.writer.failing
    monkeypatch.setattr(it.db, "url", database_url)
    await it.writer.store([await it.batch(outcome())], 5)
    assert not it.writer.failing
    assert value(database_url, "SELECT count(DISTINCT writer_id) FROM deltas") == 2
    await it.close()


@pytest.mark.gen_test
async def test_one_batch_that_the_database_refuses_does_not_take_the_others_with_it(database_url: str) -> None:
    it = await bench(database_url)
    long_ago = await it.counted(outcome())
    long_ago.rows = long_ago.rows[:6] + (0).to_bytes(8, "big") + long_ago.rows[14:]  # the year 2000: no partition
    poison = Batch(long_ago, b"{}", None)
    good = [await it.batch(outcome()) for _ in range(3)]
    await it.writer.store([good[0], poison, *good[1:]], 5)
    for batch in good:
        await batch.done
    with pytest.raises(ApiError):
        await poison.done
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3
    assert value(database_url, "SELECT sum(n) FROM deltas") == 3
    await it.close()


@pytest.mark.gen_test
async def test_a_writer_that_was_dismissed_while_frozen_begins_anew(database_url: str) -> None:
    it = await bench(database_url)
    await it.writer.store([await it.batch(outcome())], 5)
    old = it.writer.id
    rows(database_url, "DELETE FROM writers RETURNING id")
    it.writer.committed_at -= 3600
    await it.writer.store([await it.batch(outcome())], 5)
    assert it.writer.id != old
    assert value(database_url, "SELECT id FROM writers") == it.writer.id
    await it.close()


@pytest.mark.gen_test
async def test_a_flush_that_hangs_is_given_up_and_really_not_stored(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await bench(database_url)
    batch = await it.batch(outcome())
    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE")
        with monkeypatch.context() as patched:
            patched.setattr("server.ingest.writer.FLUSH_MAX_S", 0.3)
            await it.writer.store([batch], 0.5)
        with pytest.raises(ApiError) as raised:
            await batch.done
        assert "Nothing was stored" in raised.value.detail
        await blocker.rollback()
    await it.writer.store([await it.batch(outcome(), outcome())], 5)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    assert value(database_url, "SELECT sum(n) FROM deltas") == 2
    await it.close()


@pytest.mark.gen_test
async def test_a_commit_that_hangs_and_then_succeeds_counts_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old transaction is still committing while the writer, on a new connection, asks what became of it."""
    monkeypatch.setattr("server.ingest.writer.FLUSH_MAX_S", 20.0)
    it = await bench(database_url)
    await it.writer.store([await it.batch(outcome())], 5)
    connection = await it.writer._road.open()
    execute = connection.execute
    late: list[asyncio.Task[Any]] = []

    async def slow(statement: Any, *rest: Any, **options: Any) -> Any:
        if statement != "COMMIT":
            return await execute(statement, *rest, **options)

        async def commit() -> None:
            await asyncio.sleep(0.6)
            await execute(statement)

        late.append(asyncio.create_task(commit()))
        monkeypatch.setattr(connection, "close", lambda: asyncio.sleep(0))  # the server has not noticed yet
        raise psycopg.OperationalError("the line went dead")

    monkeypatch.setattr(connection, "execute", slow)
    batch = await it.batch(outcome(), outcome())
    await it.writer.store([batch], 30)
    assert not (await batch.done).repeated
    await asyncio.gather(*late)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3
    assert value(database_url, "SELECT sum(n) FROM deltas") == 3
    monkeypatch.undo()
    await connection.close()
    await it.close()


@pytest.mark.gen_test
async def test_a_fault_of_ours_in_a_flush_leaves_nothing_for_the_next_one_to_commit(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await bench(database_url)

    async def broken(*_: Any) -> None:
        raise ValueError("a fault of ours")

    batch = await it.batch(outcome(), claim=claim("a"))
    with monkeypatch.context() as patched:
        patched.setattr("server.ingest.store.copy_binary", broken)
        with pytest.raises(ValueError, match="of ours"):
            await it.writer.store([batch], 5)
    await it.writer.store([await it.batch(outcome())], 5)
    assert value(database_url, "SELECT count(*) FROM idempotency") == 0
    again = await it.batch(outcome(), claim=claim("a"))
    await it.writer.store([again], 5)
    assert await again.done == Stored(b'{"accepted":1}', repeated=False)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    await it.close()
