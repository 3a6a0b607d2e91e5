"""SQL of what came in by each receiver."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.received import ReceivedCount, ReceivedLine
from server.kernel.connection import Connection
from server.kernel.db import local
from server.kernel.names import OWN

WRITE = """
INSERT INTO received (slot, process_id, receiver, key_id, reason, requests, items, bytes, at, said)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (slot, process_id, receiver, key_id, reason) DO UPDATE SET
    requests = excluded.requests, items = excluded.items, bytes = excluded.bytes,
    at = excluded.at, said = excluded.said
"""
ADD = """
INSERT INTO received (slot, process_id, receiver, key_id, reason, requests, items, bytes, at, said)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (slot, process_id, receiver, key_id, reason) DO UPDATE SET
    requests = received.requests + excluded.requests, items = received.items + excluded.items,
    bytes = received.bytes + excluded.bytes, at = excluded.at, said = excluded.said
"""
COMMAND = 0  # stands for the process of a command, which has no number


class ReceivedSum(NamedTuple):
    """What one key (empty: no valid one) sent to one receiver, and what came of it."""

    receiver: str
    key: str
    reason: str
    requests: int
    items: int
    bytes: int
    at: datetime  # of the newest
    said: str  # what the newest was told


async def write(connection: Connection, process_id: int, counts: Mapping[ReceivedLine, ReceivedCount]) -> None:
    """Write whole counts, so that writing them again changes nothing."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(local(connection, statement_timeout="3s"))
        await cursor.executemany(WRITE, rows_of(process_id, counts))


async def add(connection: Connection, counts: Mapping[ReceivedLine, ReceivedCount]) -> None:
    """Add what a command has brought in, to what others have."""
    async with connection.cursor() as cursor:
        await cursor.executemany(ADD, rows_of(COMMAND, counts))


def rows_of(process_id: int, counts: Mapping[ReceivedLine, ReceivedCount]) -> list[tuple[object, ...]]:
    return [
        (
            datetime.fromtimestamp(line.slot, UTC),
            process_id,
            line.receiver,
            line.key_id,
            line.reason,
            count.requests,
            count.items,
            count.bytes,
            datetime.fromtimestamp(count.at, UTC),
            count.said,
        )
        for line, count in sorted(counts.items(), key=lambda each: each[0])
    ]


async def since(connection: AsyncConnection, from_s: float) -> list[ReceivedSum]:
    """What came from `from_s` on, Unix seconds, most items first. What our own checks sent is left out."""
    rows = await connection.execute(
        text(
            """
            SELECT r.receiver, coalesce(k.name, '') AS key, r.reason, sum(r.requests)::bigint AS requests,
                sum(r.items)::bigint AS items, sum(r.bytes)::bigint AS bytes, max(r.at) AS at,
                (array_agg(r.said ORDER BY r.at DESC))[1] AS said
            FROM received r LEFT JOIN api_keys k ON k.id = r.key_id
            WHERE r.slot > to_timestamp(:from_s) AND k.created_by IS DISTINCT FROM :own
            GROUP BY 1, 2, 3 ORDER BY items DESC, requests DESC, receiver, key, reason
            """
        ),
        {"from_s": from_s, "own": OWN},
    )
    return [ReceivedSum(*row) for row in rows]
