"""SQL of the counts of log lines: what each process took of a service in a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from server.ingest.lines.line import LineCount, LineDay
from server.kernel.connection import Connection
from server.kernel.db import local

WRITE = """
INSERT INTO line_days (day, process_id, service, lines, bytes, over_lines, old_lines)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (day, process_id, service) DO UPDATE SET
    lines = excluded.lines, bytes = excluded.bytes, over_lines = excluded.over_lines, old_lines = excluded.old_lines
"""


async def write(connection: Connection, process_id: int, counts: Mapping[LineDay, LineCount]) -> None:
    """Write whole counts, so that writing them again changes nothing."""
    rows = [
        (which.day, process_id, which.service, count.lines, count.bytes, count.over_lines, count.old_lines)
        for which, count in sorted(counts.items(), key=lambda one: one[0])
    ]
    if rows:
        async with connection.transaction(), connection.cursor() as cursor:
            await cursor.execute(local(connection, statement_timeout="3s"))
            await cursor.executemany(WRITE, rows)


async def elsewhere(connection: Connection, process_id: int, day: date) -> dict[str, int]:
    """The bytes that other processes took of each service that day."""
    found = await connection.execute(
        "SELECT service, sum(bytes)::bigint FROM line_days WHERE day = %s AND process_id <> %s GROUP BY service",
        (day, process_id),
    )
    return dict(cast(Any, await found.fetchall()))
