"""What goes wrong in a flush: nothing is lost and nothing is counted twice."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from server.ingest.batch import Batch, Metered, StoredBatch
from server.kernel.errors import ApiError
from server.receivers.otlp.meters import MeterReading
from tests.ingest.bench import bench, claim
from tests.ingest.making import outcome, rows, value


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
    async with it.writer._connection.use() as connection:
        execute = connection.execute

    async def cut(statement: Any, *rest: Any, **options: Any) -> Any:
        if statement != "COMMIT":
            return await execute(statement, *rest, **options)
        if committed:
            await execute(statement)
        raise psycopg.OperationalError("the line went dead")

    monkeypatch.setattr(connection, "execute", cut)
    batch = await it.batch(outcome(), outcome(), claim=claim("key", answer=b"mine"))
    batch.metered = Metered([MeterReading(b"s", b"source", "checkout", before=0, time=5, state=b"now")], [0, 0])
    await it.writer.store([batch], 5)
    assert await batch.done == StoredBatch(b"mine", repeated=False)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 3
    assert rows(database_url, "SELECT read_to, state FROM meters") == [(5, b"now")]
    late = await it.batch(outcome(), claim=claim("late"))  # of who did not see that reading
    late.metered = Metered([MeterReading(b"s", b"source", "checkout", before=0, time=4, state=b"then")], [0])
    await it.writer.store([late], 5)
    await late.done
    assert rows(database_url, "SELECT read_to, state FROM meters") == [(5, b"now")]
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
    async with it.writer._connection.use() as connection:
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
    async with it.writer._connection.use() as connection:
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
    assert await again.done == StoredBatch(b'{"accepted":1}', repeated=False)
    assert value(database_url, "SELECT count(*) FROM outcomes") == 2
    await it.close()
