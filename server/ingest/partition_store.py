"""SQL of partitions. None of it takes a lock that ingest waits for (TRAPS: Partitions)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any, NamedTuple, cast

from psycopg import sql
from psycopg.errors import LockNotAvailable

from server.kernel.connection import Connection
from server.kernel.db import HAS_CITUS, local
from server.tables.outcomes import BLOOM, RANGE_PAGES, RANGES

OUTCOMES, LINES = "outcomes", "service_lines"  # the tables that have partitions

PARTITIONS_LOCK = 0x65766B02  # advisory: one process at a time makes partitions

ALL = """
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relname ~ ('^' || %(table)s || '_[0-9]{8}$')
  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = %(table)s::regclass)
ORDER BY c.relname
"""

# The partitions without the index that the partitioned one stands for; it is made with the table of new ones.
UNINDEXED = """
SELECT c.relname
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'outcomes'::regclass AND NOT i.inhdetachpending AND NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_inherits p ON p.inhrelid = x.indexrelid
    WHERE x.indrelid = c.oid AND p.inhparent = %s::regclass
)
ORDER BY c.relname
"""
BLOCKS = """
SELECT x.indrelid::regclass::text, i.inhrelid::regclass::text,
    pg_relation_size(x.indrelid) / current_setting('block_size')::int
FROM pg_inherits i JOIN pg_index x ON x.indexrelid = i.inhrelid
WHERE i.inhparent = %s::regclass ORDER BY 1
"""
INDEX = "outcomes_request_ids"
INDEXED = {INDEX: "request_id", "outcomes_trace_ids": "(detail ->> 'trace_id')"}
EARLIER_INDEX = "outcomes_request_id"
QUICKLY = "200ms"


class Partition(NamedTuple):
    """A day's table: `attached` False: on its way out; `pending`: its detaching was cut short."""

    name: str
    attached: bool
    pending: bool


async def partitions(connection: Connection, table: str = OUTCOMES) -> list[Partition]:
    """Every table that is or was a partition of this one, in the order of days."""
    found = await connection.execute(cast(Any, ALL), {"table": table})
    return [Partition(*cast(Any, row)) for row in await found.fetchall()]


async def make(connection: Connection, table: str, name: str, day: date) -> bool:
    """Create and attach; False where somebody else was quicker."""
    whole, part = sql.Identifier(table), sql.Identifier(name)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (PARTITIONS_LOCK,))
        there = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
        if cast(Any, await there.fetchone())[0]:
            return False
        await connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS)").format(part, whole))
        await connection.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                whole, part, sql.Literal(f"{day} 00:00+00"), sql.Literal(f"{day + timedelta(days=1)} 00:00+00")
            )
        )
    return True


async def has_earlier_index(connection: Connection) -> bool:
    """Whether the B-tree by which earlier versions found request ids is still there."""
    found = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (EARLIER_INDEX,))
    return bool(cast(Any, await found.fetchone())[0])


async def unindexed(connection: Connection, index: str = INDEX) -> list[str]:
    """The attached partitions that are older than an index of ids, and have none of it."""
    found = await connection.execute(UNINDEXED, (index,))
    return [str(cast(Any, row)[0]) for row in await found.fetchall()]


async def index(connection: Connection, name: str, of: str = INDEX) -> None:
    """Give a partition its part of an index of ids, while it is written to."""
    made = sql.Identifier(f"{name}{of.removeprefix(OUTCOMES)}")
    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(made))  # what was cut short
    await connection.execute(
        sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} USING brin ({} {}) WITH ({})").format(
            made, sql.Identifier(name), sql.SQL(INDEXED[of]), sql.SQL(BLOOM), sql.SQL(RANGES)
        )
    )
    async with quickly(connection):
        await connection.execute(sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(sql.Identifier(of), made))


async def blocks(connection: Connection, index: str = INDEX) -> list[tuple[str, str, int]]:
    """Each attached partition, its part of the index, and how many pages the partition has."""
    found = await connection.execute(BLOCKS, (index,))
    return [(str(table), str(index), int(count)) for table, index, count in cast(Any, await found.fetchall())]


async def summarise(connection: Connection, index: str, first: int, last: int, pages: int = RANGE_PAGES) -> bool:
    """Make the filters of the ranges of pages that begin in [first, last), where there is none yet.

    False where the partition is just being vacuumed: who waits for a second has the vacuum cancelled.
    """
    with contextlib.suppress(LockNotAvailable):
        async with quickly(connection):
            await connection.execute(
                "SELECT brin_summarize_range(%s::regclass, page)"
                " FROM generate_series(%s::bigint, %s::bigint - 1, %s) AS page",
                (index, first, last, pages),
            )
        return True
    return False


async def drop_earlier_index(connection: Connection) -> bool:
    """Drop the B-tree; False where a reader does not let go of it at once."""
    with contextlib.suppress(LockNotAvailable):
        async with quickly(connection):
            await connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(EARLIER_INDEX)))
        return True
    return False


@asynccontextmanager
async def quickly(connection: Connection) -> AsyncIterator[None]:
    """A transaction that has the locks it asks for nearly at once, or ends: others would wait behind it."""
    async with connection.transaction():
        await connection.execute(local(connection, lock_timeout=QUICKLY))
        yield


async def has_citus(connection: Connection) -> bool:
    """Whether outcomes may be on the workers of Citus."""
    return bool(cast(Any, await (await connection.execute(HAS_CITUS)).fetchone())[0])


async def drop_quickly(connection: Connection, name: str) -> None:
    """Drop a partition in one go, where none can be detached while ingest goes on.

    LockNotAvailable or DeadlockDetected where somebody uses it: try again.
    """
    async with quickly(connection):
        await drop(connection, name)


async def detach(connection: Connection, name: str, table: str = OUTCOMES) -> None:
    """Detach; waits for readers of the partition, while ingest goes on."""
    detaching = sql.SQL("ALTER TABLE {} DETACH PARTITION {} CONCURRENTLY")
    await connection.execute(detaching.format(sql.Identifier(table), sql.Identifier(name)))


async def finish_detaching(connection: Connection, name: str, table: str = OUTCOMES) -> None:
    """Go on where a detaching was cut short."""
    finishing = sql.SQL("ALTER TABLE {} DETACH PARTITION {} FINALIZE")
    await connection.execute(finishing.format(sql.Identifier(table), sql.Identifier(name)))


async def drop(connection: Connection, name: str) -> None:
    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
