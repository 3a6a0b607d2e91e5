"""SQL of how far logs are stored."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.access_log.log_place import LogPlace
from server.kernel.connection import Connection

BITE = 10_000  # rows in one transaction
KEPT = "400 days"  # as long as anything that was counted


async def places(connection: Connection, known: bytes) -> dict[int, LogPlace]:
    """The logs that begin so, by their numbers."""
    found = await connection.execute(
        "SELECT number, bytes, lines, tail, inode FROM log_places WHERE known = %s ORDER BY number", (known,)
    )
    rows = cast(Any, await found.fetchall())
    return {number: LogPlace(end, lines, bytes(tail), inode) for number, end, lines, tail, inode in rows}


async def move(connection: Connection, known: bytes, number: int, place: LogPlace) -> None:
    """The log is stored up to there; never back."""
    await connection.execute(
        "INSERT INTO log_places (known, number, bytes, lines, tail, inode) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (known, number) DO UPDATE SET bytes = excluded.bytes, lines = excluded.lines,"
        " tail = excluded.tail, inode = excluded.inode, at = now() WHERE log_places.bytes < excluded.bytes",
        (known, number, place.end, place.lines, place.tail, place.inode),
    )


async def drop_places(connection: AsyncConnection) -> int:
    """Delete one bite of the places of logs that have not grown for so long; how many."""
    done = await connection.execute(
        text(
            "DELETE FROM log_places WHERE ctid = ANY (ARRAY("
            f"SELECT ctid FROM log_places WHERE at < now() - interval '{KEPT}' LIMIT :bite))"
        ),
        {"bite": BITE},
    )
    return done.rowcount
