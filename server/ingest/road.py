"""A connection of its own, opened when needed and opened again after a failure."""

from __future__ import annotations

import contextlib

import psycopg

from server.kernel.db import Database

Connection = psycopg.AsyncConnection[tuple[object, ...]]


class Road:
    """One raw connection, used by one task at a time. `setup` is SQL run on each new one."""

    def __init__(self, db: Database, purpose: str, setup: str = "") -> None:
        self.db = db
        self.purpose = purpose
        self._setup = setup
        self._connection: Connection | None = None

    async def open(self) -> Connection:
        """The connection; raises psycopg.Error or OSError where the database is away."""
        if self._connection is None or self._connection.closed:
            connection = await self.db.raw(self.purpose)
            if self._setup:
                await connection.execute(self._setup)
            self._connection = connection
        return self._connection

    async def drop(self) -> None:
        """Close it: whatever it was in the middle of is rolled back by the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()
