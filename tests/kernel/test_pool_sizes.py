"""Pools are as large as what the server lets in allows, shared by all processes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import TimeoutError as PoolTimeout

from server.kernel import db as databases
from server.kernel.connection import opened
from server.kernel.pool_sizes import LEAST, MOST, OWN, PoolSizes, SharedConnections
from server.process.process_store import connections_allowed, shared_connections
from tests.live.writing import database


@given(st.integers(1, 5000), st.integers(1, 100))
def test_all_pools_together_stay_within_what_is_allowed(allowed: int, processes: int) -> None:
    shared = SharedConnections(allowed, processes)
    control, read = shared.sizes
    assert LEAST.control <= control <= MOST.control
    assert LEAST.read <= read <= MOST.read
    assert (processes * (OWN + control + read) <= allowed) is shared.enough
    assert shared.enough or shared.sizes == LEAST
    assert str(shared.needed) in str(shared) or shared.enough


def test_a_small_plan_and_a_large_one() -> None:
    assert SharedConnections(197, 5).sizes == MOST
    assert SharedConnections(97, 5).sizes == PoolSizes(5, 3)
    assert not SharedConnections(17, 2).enough


@pytest.mark.gen_test
async def test_the_server_says_what_it_lets_in_and_a_pool_that_was_fitted_grows_no_further(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "ASK_WAIT_S", 0.1)
    async with database(database_url) as db, opened(db, "looking") as connection:
        whole = await connections_allowed(connection)
        assert whole < int((await (await connection.execute("SHOW max_connections")).fetchone() or ("0",))[0])
        name = (await (await connection.execute("SELECT current_database()")).fetchone() or ("",))[0]
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 40")
        assert await shared_connections(connection, on_machine=2) == SharedConnections(40, 2)
        db.fit(SharedConnections(40, 2).sizes)
        async with AsyncExitStack() as stack:
            for _ in range(LEAST.read):
                await stack.enter_async_context(db.ask())
            with pytest.raises(PoolTimeout):
                await stack.enter_async_context(db.ask())
        db.fit(MOST)
        async with AsyncExitStack() as stack:
            await asyncio.gather(*(stack.enter_async_context(db.ask()) for _ in range(MOST.read)))
