"""A connection of one's own outside the pools, for what must not wait behind others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psycopg

from server.kernel.db import Database
from server.kernel.loop_clock import LoopClock

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

LATER_S = 0.2  # than the connection is cut, what else is waited for is cancelled: once the loop has seen the cut
CANCEL_S = 2.0  # for the server to be told that nobody waits any more


class OwnConnection:
    """One connection in autocommit, opened when it is needed and kept for the next use.

    `purpose` is what the server shows it as. One user has it at a time, the others wait. Where a use ends in an
    exception, a cancellation included, it is closed: a connection left in the middle of a command cannot be used
    again, and the server rolls back what it was in the middle of. Limits are by `clock`.
    """

    def __init__(self, db: Database, purpose: str, clock: LoopClock | None = None) -> None:
        self.db = db
        self.purpose = purpose
        self.clock = clock or LoopClock()
        self._alone = asyncio.Lock()
        self._connection: Connection | None = None
        self._cancelling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, limit_s: float | None = None) -> AsyncIterator[Connection]:
        """The connection, for at most `limit_s` seconds; waiting for it and opening it count.

        Raises psycopg.Error, OSError or (an OSError too) TimeoutError where the database is away.
        """
        async with asyncio.timeout(None) as limit:
            with self.clock.alarm(limit_s, partial(limit.reschedule, 0)) as alarm:
                async with self._alone:
                    try:
                        connection = await self._open()
                        alarm.ring = partial(self._cut, connection, limit)
                        yield connection
                    except BaseException as error:
                        await self.close()
                        if alarm.rung and isinstance(error, psycopg.Error):
                            raise TimeoutError from error
                        raise

    def _cut(self, connection: Connection, limit: asyncio.Timeout) -> None:
        """End what is waited for, at once: a cancellation would ask the server first, which may not answer."""
        limit.reschedule(asyncio.get_running_loop().time() + LATER_S)
        with contextlib.suppress(psycopg.Error, OSError):
            # So that a server that does answer does not go on with it.
            task = asyncio.create_task(cancel(connection))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)
            with socket.socket(fileno=os.dup(connection.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)

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


async def notified(connection: Connection, limit_s: float) -> list[str]:
    """What the server has notified of, waiting for at most `limit_s` seconds; psycopg.Error where it has gone.

    Without psycopg's own wait, which wakes ten times a second.
    """
    loop, readable, socket_number = asyncio.get_running_loop(), asyncio.Event(), connection.fileno()
    timer = loop.call_later(limit_s, readable.set)
    loop.add_reader(socket_number, readable.set)
    try:
        await readable.wait()
    finally:
        timer.cancel()
        loop.remove_reader(socket_number)
    connection.pgconn.consume_input()
    found = []
    while notice := connection.pgconn.notifies():
        found.append(notice.extra.decode())
    return found


async def cancel(connection: Connection) -> None:
    """Ask the server to stop what it does for this connection."""
    with contextlib.suppress(Exception):
        await connection.cancel_safe(timeout=CANCEL_S)


@asynccontextmanager
async def opened(db: Database, purpose: str, **settings: str) -> AsyncIterator[Connection]:
    """A connection for one piece of work, closed after it. Raises psycopg.Error or OSError."""
    connection = await db.raw(purpose, **settings)
    try:
        yield connection
    finally:
        await connection.close()
