"""SQL of the intake counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from server.ingest.tally import IntakeCount, IntakeLine
from server.kernel.connection import Connection
from server.kernel.db import local
from server.live import pairs

WRITE = """
INSERT INTO intake (slot, process_id, key_id, service, reason, requests, items, bytes, ahead_us, item_sizes, byte_sizes)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (slot, process_id, key_id, service, reason) DO UPDATE SET
    requests = excluded.requests, items = excluded.items, bytes = excluded.bytes,
    ahead_us = excluded.ahead_us,
    item_sizes = excluded.item_sizes, byte_sizes = excluded.byte_sizes
"""


async def write(connection: Connection, process_id: int, counts: Mapping[IntakeLine, IntakeCount]) -> None:
    """Write whole counts, so that writing them again changes nothing."""
    rows = [
        (
            datetime.fromtimestamp(line.slot, UTC),
            process_id,
            line.key_id,
            line.service,
            line.reason,
            count.requests,
            count.items,
            count.bytes,
            count.ahead_us,
            pairs.pack(count.item_sizes),
            pairs.pack(count.byte_sizes),
        )
        for line, count in sorted(counts.items())
    ]
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.execute(local(connection, statement_timeout="3s"))
        await cursor.executemany(WRITE, rows)
