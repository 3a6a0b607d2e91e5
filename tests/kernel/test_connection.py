"""A connection of one's own: kept while it works, one user at a time, and never used again after a failure."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from server.kernel.connection import Connection, OwnConnection, opened
from server.kernel.db import Database
from tests.live.writing import database
from tests.waiting import NEVER_S, PATIENCE_S

pytestmark = pytest.mark.gen_test


async def pid(connection: Connection) -> int:
    found = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    assert found is not None
    return int(found[0])


async def used(own: OwnConnection) -> int:
    async with own.use() as connection:
        return await pid(connection)


async def left(db: Database, purpose: str) -> int:
    """How many the server has, once those that were closed have ended."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ %s"
    found = 2
    async with asyncio.timeout(PATIENCE_S):
        while found > 1:
            async with db.act() as connection:  # within one transaction the answer would stay the same
                found = int((await connection.exec_driver_sql(count, (f" {purpose}$",))).scalar_one())
    return found


async def test_it_is_kept_for_the_next_use(database_url: str) -> None:
    async with database(database_url) as db:
        own = OwnConnection(db, "mine")
        first = await used(own)
        assert await used(own) == first
        await own.close()
        await own.close()
        assert await used(own) != first
        await own.close()


async def test_one_has_it_at_a_time(database_url: str) -> None:
    async with database(database_url) as db:
        own = OwnConnection(db, "mine")
        using: list[int] = []

        async def use(number: int) -> None:
            async with own.use() as connection:
                using.append(number)
                assert using == [number]
                await connection.execute("SELECT pg_sleep(0.01)")
                using.remove(number)

        await asyncio.gather(*(use(number) for number in range(5)))
        await own.close()


@pytest.mark.parametrize("how", ["refused", "a fault of ours", "too long", "cancelled"])
async def test_after_a_failure_it_is_another_and_nothing_of_it_stays(database_url: str, how: str) -> None:
    async with database(database_url) as db:
        own = OwnConnection(db, "mine")
        first = await used(own)

        async def fail() -> None:
            async with own.use(0.1 if how == "too long" else None) as connection:
                await connection.execute("BEGIN")
                await connection.execute("SELECT nextval('processes_id_seq'), pg_advisory_xact_lock(7)")
                if how == "refused":
                    await connection.execute("SELECT 1/0")
                if how == "a fault of ours":
                    raise ZeroDivisionError
                begun.set()
                await connection.execute("SELECT pg_sleep(%s)", (NEVER_S,))

        begun = asyncio.Event()
        task = asyncio.create_task(fail())
        if how == "cancelled":
            await begun.wait()
            task.cancel()
        kind = {"too long": TimeoutError, "cancelled": asyncio.CancelledError, "refused": psycopg.DataError}
        with pytest.raises(kind.get(how, ZeroDivisionError)):
            await task
        async with own.use(PATIENCE_S) as connection:
            assert await pid(connection) != first
            await connection.execute("SELECT pg_advisory_lock(7)")  # nobody holds it any more
        assert await left(db, "mine") == 1
        await own.close()


async def test_waiting_and_opening_count_into_the_limit(database_url: str) -> None:
    async with database(database_url) as db:
        own = OwnConnection(db, "mine")
        async with own.use() as connection:
            first = await pid(connection)
            with pytest.raises(TimeoutError):
                async with own.use(0.05):
                    pass
        assert await used(own) == first, "who only waited has closed nothing"
        await own.close()


async def test_a_database_that_is_away_is_tried_again_at_the_next_use(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database(database_url) as db:
        own = OwnConnection(db, "mine")
        with monkeypatch.context() as patched:
            patched.setattr(db, "url", "postgresql:///nowhere?host=/nowhere")
            with pytest.raises(psycopg.OperationalError):
                await used(own)
        assert await used(own)
        await own.close()


async def test_one_that_the_server_has_ended_is_opened_again(database_url: str) -> None:
    async with database(database_url) as db:
        own = OwnConnection(db, "mine")
        first = await used(own)
        async with db.act() as other:
            await other.exec_driver_sql("SELECT pg_terminate_backend(%s, 5000)", (first,))
        with pytest.raises(psycopg.OperationalError):
            await used(own)
        assert await used(own) != first
        await own.close()


async def test_one_for_one_piece_of_work_is_closed_after_it(database_url: str) -> None:
    async with database(database_url) as db:
        async with opened(db, "once") as connection:
            assert await pid(connection)
        assert connection.closed
        with pytest.raises(ZeroDivisionError):
            async with opened(db, "once") as connection:
                raise ZeroDivisionError
        assert connection.closed


async def test_connections_that_the_server_has_ended_are_not_used_again(database_url: str) -> None:
    """As after a restart: all that a pool keeps are gone at once, and nobody asks the server first."""
    async with database(database_url) as db:
        async with db.act() as first, db.act() as second:
            kept = {(await each.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one() for each in (first, second)}
        with psycopg.connect(database_url, autocommit=True) as connection:
            for each in kept:
                connection.execute("SELECT pg_terminate_backend(%s, 10000)", [each])
        for _ in kept:
            async with db.act() as again:
                assert (await again.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one() not in kept
