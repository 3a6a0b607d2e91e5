"""Engine, pools and transactions.

Three roads that do not share lanes: `control` for pages, sign-in, acts and the
lease; `read` for questions, which are cut off after 10 s; and the writers' own
connections (server/kernel/connection.py). When one is full the others keep working.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

# A process frozen inside a transaction must not hold the lease or a key for longer (TRAPS: Lease).
IDLE_IN_TRANSACTION_MS = 2000
KEPT = 3  # connections that a pool keeps open
# Acts of 20 people at the same moment: those that find no connection wait for one.
ACTS = 10
ACT_WAIT_S = 10.0
AWAY = (SQLAlchemyError, psycopg.Error, OSError)  # what is raised while the database is away; also TimeoutError
OVERTAKEN = ("40001", "40P01")  # serialisation failure, deadlock


class Overtaken(Exception):
    """Somebody else came between; try again later."""


class Database:
    """The pools of one process. Make it inside the running event loop; `close` it there."""

    def __init__(self, url: str, name: str = "evenkeel") -> None:
        self.url = url
        self.name = name[:60]
        self.control = self._engine("control", statement_timeout_ms=5_000, most=ACTS, wait_s=ACT_WAIT_S)
        self.read = self._engine("read", statement_timeout_ms=10_000, most=5, wait_s=5.0)

    def _engine(self, road: str, statement_timeout_ms: int, most: int, wait_s: float) -> AsyncEngine:
        # Without JIT: compiling takes longer than any question here.
        options = f"-c statement_timeout={statement_timeout_ms} -c jit=off {idle_option()}"
        return create_async_engine(
            sqlalchemy_url(self.url),
            poolclass=AsyncAdaptedQueuePool,
            pool_size=KEPT,
            max_overflow=most - KEPT,
            pool_timeout=wait_s,
            pool_recycle=600,
            pool_pre_ping=True,
            hide_parameters=True,  # an error that is logged carries no e-mail address and no digest
            connect_args={"connect_timeout": 3, "options": options, "application_name": f"{self.name} {road}"},
        )

    @asynccontextmanager
    async def act(self) -> AsyncIterator[AsyncConnection]:
        """One transaction on the control pool: committed on leaving, rolled back on an exception."""
        async with self.control.begin() as connection:
            yield connection

    @asynccontextmanager
    async def ask(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot (REPEATABLE READ, read only) on the read pool, for questions."""
        async with self.read.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                yield connection

    async def in_bites(self, drop: Callable[[AsyncConnection], Awaitable[int]], bite: int) -> None:
        """Call `drop`, which deletes at most `bite` rows and says how many, a transaction each, until few are left."""
        dropped = bite
        while dropped >= bite:
            async with self.act() as connection:
                dropped = await drop(connection)

    @asynccontextmanager
    async def rewrite(self) -> AsyncIterator[AsyncConnection]:
        """One transaction of one snapshot (REPEATABLE READ) on the control pool, for what is made anew from it.

        Raises Overtaken where somebody has changed meanwhile what it changes; then nothing was done.
        """
        async with self.control.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            try:
                async with connection.begin():
                    yield connection
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) in OVERTAKEN:
                    raise Overtaken(str(error.orig)) from error
                raise

    async def raw(self, purpose: str) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        """A psycopg connection outside the pools, in autocommit; the caller owns and closes it: see `connection`."""
        return await psycopg.AsyncConnection.connect(
            self.url,
            autocommit=True,
            connect_timeout=3,
            options=idle_option(),
            application_name=f"{self.name} {purpose}",
        )

    async def close(self) -> None:
        """Close the pools; transactions in flight are rolled back by the server."""
        await self.control.dispose()
        await self.read.dispose()


def idle_option() -> str:
    return f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS} -c timezone=UTC"


def sqlalchemy_url(url: str) -> URL:
    """A libpq URL (postgresql://…) as SQLAlchemy wants it."""
    return make_url(url).set(drivername="postgresql+psycopg")
