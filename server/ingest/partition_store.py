"""SQL of partitions. None of it takes a lock that ingest waits for (TRAPS: Partitions)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple, cast

from psycopg import sql

from server.kernel.connection import Connection

PARTITIONS_LOCK = 0x65766B02  # advisory: one process at a time makes partitions

ALL = """
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relname ~ '^outcomes_[0-9]{8}$'
  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'outcomes'::regclass)
ORDER BY c.relname
"""


class Partition(NamedTuple):
    """A table of outcomes: `attached` False: on its way out; `pending`: its detaching was cut short."""

    name: str
    attached: bool
    pending: bool


async def partitions(connection: Connection) -> list[Partition]:
    """Every table that is or was a partition of outcomes, in the order of days."""
    found = await connection.execute(cast(Any, ALL))
    return [Partition(*cast(Any, row)) for row in await found.fetchall()]


async def make(connection: Connection, name: str, day: date) -> bool:
    """Create and attach; False where somebody else was quicker."""
    table = sql.Identifier(name)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITIONS_LOCK,))
        there = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
        if cast(Any, await there.fetchone())[0]:
            return False
        await connection.execute(sql.SQL("CREATE TABLE {} (LIKE outcomes INCLUDING DEFAULTS)").format(table))
        await connection.execute(
            sql.SQL("ALTER TABLE outcomes ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                table, sql.Literal(f"{day} 00:00+00"), sql.Literal(f"{day + timedelta(days=1)} 00:00+00")
            )
        )
    return True


async def detach(connection: Connection, name: str) -> None:
    """Detach; waits for readers of the partition, while ingest goes on."""
    await connection.execute(
        sql.SQL("ALTER TABLE outcomes DETACH PARTITION {} CONCURRENTLY").format(sql.Identifier(name))
    )


async def finish_detaching(connection: Connection, name: str) -> None:
    """Go on where a detaching was cut short."""
    await connection.execute(sql.SQL("ALTER TABLE outcomes DETACH PARTITION {} FINALIZE").format(sql.Identifier(name)))


async def drop(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
