"""SQL of what limits refuse and would refuse. What no valid key sent is left out: it is refused anyway."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.tally import ACCEPTED, SLOT_S

__all__ = [
    "SLOT_S",
    "IntakeSlot",
    "KeyRate",
    "Offered",
    "RefusedItems",
    "over_bytes",
    "over_items",
    "rates",
    "refused",
    "slots",
]

# Our own checks try the limits on purpose, with short-lived keys: that is nobody's loss.
SOMEBODYS = "i.key_id NOT IN (SELECT id FROM api_keys WHERE created_by = 'evenkeel')"
MINE = (
    "i.slot >= to_timestamp(:since) AND i.key_id <> 0 AND (CAST(:key_id AS int) IS NULL OR i.key_id = :key_id)"
    f" AND {SOMEBODYS}"
)
PAIRS = "pair >> 32 AS size, pair & 4294967295 AS n"
# A request of several services stands in several rows; its size stands in one.
REQUESTS = "(SELECT coalesce(sum(pair & 4294967295), 0) FROM unnest(byte_sizes) pair)"


class Offered(NamedTuple):
    """What a key offered, and what of it a limit refuses."""

    key_id: int
    requests: int
    items: int
    refused_requests: int
    refused_items: int


class IntakeSlot(NamedTuple):
    """What a key offered in one slot."""

    key_id: int
    requests: int
    items: int


class KeyRate(NamedTuple):
    """What a key offers a second, lately and before."""

    key_id: int
    lately: float
    before: float


class RefusedItems(NamedTuple):
    """What was refused of a key (0: no valid one) for a reason, an error code. `items` where their number was known."""

    reason: str
    key_id: int
    requests: int
    items: int


async def over_items(connection: AsyncConnection, since: float, key_id: int | None, limit: int) -> list[Offered]:
    """By key, the requests with more items than the limit."""
    rows = await connection.execute(
        text(
            f"""
            SELECT key_id, sum(n)::bigint, sum(n * size)::bigint,
                coalesce(sum(n) FILTER (WHERE size > :limit), 0)::bigint,
                coalesce(sum(n * size) FILTER (WHERE size > :limit), 0)::bigint
            FROM (SELECT i.key_id, {PAIRS} FROM intake i, unnest(i.item_sizes) pair WHERE {MINE}) sizes
            GROUP BY 1
            """
        ),
        {"since": since, "key_id": key_id, "limit": limit},
    )
    return [Offered(*row) for row in rows]


async def over_bytes(connection: AsyncConnection, since: float, key_id: int | None, limit: int) -> list[Offered]:
    """By key, the requests with more bytes than the limit; their items by their share of the bytes."""
    rows = await connection.execute(
        text(
            f"""
            WITH sizes AS (
                SELECT key_id, sum(n) AS requests, sum(n * size) AS bytes,
                    coalesce(sum(n) FILTER (WHERE size > :limit), 0) AS refused,
                    coalesce(sum(n * size) FILTER (WHERE size > :limit), 0) AS refused_bytes
                FROM (SELECT i.key_id, {PAIRS} FROM intake i, unnest(i.byte_sizes) pair WHERE {MINE}) each_size
                GROUP BY 1
            ), items AS (SELECT i.key_id, sum(i.items) AS items FROM intake i WHERE {MINE} GROUP BY 1)
            SELECT key_id, requests::bigint, items::bigint, refused::bigint,
                round(items * refused_bytes / greatest(bytes, 1))::bigint
            FROM sizes JOIN items USING (key_id)
            """
        ),
        {"since": since, "key_id": key_id, "limit": limit},
    )
    return [Offered(*row) for row in rows]


async def slots(connection: AsyncConnection, since: float, key_id: int | None) -> list[IntakeSlot]:
    """What each key offered in each slot, over all processes and services."""
    rows = await connection.execute(
        text(
            f"SELECT i.key_id, sum({REQUESTS})::bigint, sum(i.items)::bigint FROM intake i WHERE {MINE}"
            " GROUP BY i.key_id, i.slot"
        ),
        {"since": since, "key_id": key_id},
    )
    return [IntakeSlot(*row) for row in rows]


async def rates(connection: AsyncConnection, before: float, lately: float, until: float) -> list[KeyRate]:
    """What each key offered a second in the whole slots [lately, until), and in [before, lately)."""
    rows = await connection.execute(
        text(
            f"""
            SELECT i.key_id,
                coalesce(sum(i.items) FILTER (WHERE i.slot >= to_timestamp(:lately)), 0)::float8 / (:until - :lately),
                coalesce(sum(i.items) FILTER (WHERE i.slot < to_timestamp(:lately)), 0)::float8 / (:lately - :since)
            FROM intake i WHERE {MINE} AND i.slot < to_timestamp(:until) GROUP BY i.key_id
            """
        ),
        {"since": float(before), "lately": float(lately), "until": float(until), "key_id": None},
    )
    return [KeyRate(*row) for row in rows]


async def refused(connection: AsyncConnection, since: float) -> list[RefusedItems]:
    """What was refused, most first."""
    rows = await connection.execute(
        text(
            f"SELECT reason, key_id, sum({REQUESTS})::bigint AS requests, sum(items)::bigint AS items FROM intake i"
            f" WHERE slot >= to_timestamp(:since) AND reason <> :accepted AND {SOMEBODYS} GROUP BY 1, 2"
            " ORDER BY items DESC, requests DESC, reason, key_id"
        ),
        {"since": since, "accepted": ACCEPTED},
    )
    return [RefusedItems(*row) for row in rows]
