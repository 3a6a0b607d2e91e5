"""SQL of what is counted once by itself: chunks of items, a row for what one flush counts of one second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import psycopg

from server.ingest.known_items import ItemChunk, ItemLook
from server.kernel.connection import Connection

ITEMS_LOCK = 0x65766B02  # advisory, within a transaction: who claims items does so alone, until its commit

# The order of chunks keeps the planner from reading the whole table.
NEWER = """
    SELECT c.second, c.number, c.items FROM unnest(%(seconds)s::bigint[], %(seen)s::bigint[]) AS asked (second, seen)
    CROSS JOIN LATERAL (
        SELECT * FROM item_chunks WHERE item_chunks.second = asked.second AND number > asked.seen ORDER BY number
    ) AS c
"""
# The release before has a row for each item. After its last one this is a look into the index: in order of items, since
# a scan of the table would read what is deleted there.
CLAIMED_BEFORE = """
    SELECT item FROM item_claims WHERE item = ANY (ARRAY(
        SELECT substr(%(items)b, 16 * i + 1, 16) FROM generate_series(0, %(last)s) i
    )) AND (SELECT true FROM item_claims WHERE item >= %(first)b ORDER BY item LIMIT 1)
"""
CLAIM = f"""
    SELECT pg_advisory_xact_lock({ITEMS_LOCK});
    WITH newer AS MATERIALIZED ({NEWER}), ours AS (
        INSERT INTO item_chunks (second, items)
        SELECT * FROM unnest(%(claimed)s::bigint[], %(chunks)s::bytea[]) WHERE NOT EXISTS (SELECT FROM newer)
        RETURNING second, number
    )
    SELECT * FROM newer UNION ALL SELECT second, number, NULL FROM ours ORDER BY number
"""


async def newer_chunks(connection: Connection, seen: Mapping[int, int]) -> list[ItemChunk]:
    """The chunks of each second after the one with that number, in their order."""
    found = await connection.execute(NEWER, {"seconds": list(seen), "seen": list(seen.values())}, binary=True)
    return [ItemChunk(*cast(Any, row)) for row in await found.fetchall()]


async def claimed_before(connection: Connection, items: list[bytes]) -> list[bytes]:
    """Those of the items that a process of the release before has counted."""
    asked = {"items": b"".join(items), "last": len(items) - 1, "first": min(items)}
    found = await connection.execute(CLAIMED_BEFORE, asked)
    return [bytes(cast(Any, row)[0]) for row in await found.fetchall()]


async def claim(connection: Connection, look: ItemLook) -> list[ItemChunk]:
    """Claim what is left of a look, alone until the commit; or nothing where there are newer chunks, which are given.

    A statement sees what was committed when it began: so the lock is taken by one of its own. Both go in one message.
    """
    seen, left = look.seen, look.left
    asked = {"seconds": list(seen), "seen": list(seen.values()), "claimed": list(left), "chunks": list(left.values())}
    cursor = psycopg.AsyncClientCursor(connection)
    await cursor.execute(CLAIM, asked)
    cursor.nextset()
    rows = cast(Any, await cursor.fetchall())
    newer = [ItemChunk(second, number, items) for second, number, items in rows if items is not None]
    look.claimed = {} if newer else {second: number for second, number, _ in rows}
    return newer
