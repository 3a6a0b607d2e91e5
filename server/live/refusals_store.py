"""SQL of what senders were refused, and of who they are."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.live.refusals import IntakeRow


async def intake(connection: AsyncConnection, from_s: float) -> list[IntakeRow]:
    """What came in and what was refused in the slots that begin at `from_s` or later."""
    rows = await connection.execute(
        text(
            """
            SELECT i.key_id, coalesce(k.name, '') AS key, i.service, i.reason,
                sum(i.requests)::bigint AS requests, sum(i.items)::bigint AS items
            FROM intake i LEFT JOIN api_keys k ON k.id = i.key_id
            WHERE i.slot >= to_timestamp(:from_s) GROUP BY 1, 2, 3, 4
            """
        ),
        {"from_s": from_s},
    )
    return [IntakeRow(*row) for row in rows]


async def senders(connection: AsyncConnection, from_s: float) -> dict[int, list[str]]:
    """The services that each key has sent since."""
    rows = await connection.execute(
        text(
            """
            SELECT key_id, array_agg(DISTINCT service) AS services FROM intake
            WHERE slot >= to_timestamp(:from_s) AND service <> '' AND key_id <> 0 GROUP BY key_id
            """
        ),
        {"from_s": from_s},
    )
    return {row.key_id: row.services for row in rows}
