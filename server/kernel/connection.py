"""A connection of one's own outside the pools, for what must not wait behind others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from server.kernel.db import Database

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class OwnConnection:
    """One connection in autocommit, opened when it is needed and kept for the next use.

    `purpose` is what the server shows it as. One user has it at a time, the others wait. Where a use ends in an
    exception, a cancellation included, it is closed: a connection left in the middle of a command cannot be used
    again, and the server rolls back what it was in the middle of.
    """

    def __init__(self, db: Database, purpose: str) -> None:
        self.db = db
        self.purpose = purpose
        self._alone = asyncio.Lock()
        self._connection: Connection | None = None

    @asynccontextmanager
    async def use(self, limit_s: float | None = None) -> AsyncIterator[Connection]:
        """The connection, for at most `limit_s` seconds; waiting for it and opening it count.

        Raises psycopg.Error, OSError or (an OSError too) TimeoutError where the database is away.
        """
        async with asyncio.timeout(limit_s), self._alone:
            try:
                yield await self._open()
            except BaseException:
                await self.close()
                raise

    async def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await self.db.raw(self.purpose)
        return self._connection

    async def close(self) -> None:
        """Close it; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()


@asynccontextmanager
async def opened(db: Database, purpose: str) -> AsyncIterator[Connection]:
    """A connection for one piece of work, closed after it. Raises psycopg.Error or OSError."""
    connection = await db.raw(purpose)
    try:
        yield connection
    finally:
        await connection.close()
