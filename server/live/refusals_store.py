"""SQL of what senders were refused and when, and of who they are."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.tally import SLOT_S
from server.kernel.names import OWN
from server.live.refusals import IntakeRow

SENT_LATELY_S = 3600  # a key that sent the service this long before counts as its sender


async def intake(connection: AsyncConnection, from_s: float) -> list[IntakeRow]:
    """What came in and what was refused in the slots that begin at `from_s` or later."""
    rows = await connection.execute(
        text(
            """
            SELECT i.key_id, coalesce(k.name, '') AS key, i.service, i.reason,
                sum(i.requests)::bigint AS requests, sum(i.items)::bigint AS items, max(i.ahead_us) AS ahead_us
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


async def refused_slots(
    connection: AsyncConnection, service: str, from_s: float, reasons: Collection[str]
) -> list[int]:
    """The slots of SLOT_S from `from_s` on in which something was refused, oldest first, Unix seconds.

    What was refused before its service was known counts where its key has sent the service.
    """
    rows = await connection.execute(
        text(
            """
            WITH refused AS (
                SELECT DISTINCT slot, key_id, service FROM intake
                WHERE slot >= to_timestamp(:from_s) AND reason = ANY (:reasons) AND service IN (:service, '')
            ), senders AS (
                SELECT key_id FROM (SELECT DISTINCT key_id FROM refused WHERE service = '' AND key_id <> 0) unknown
                WHERE EXISTS (SELECT FROM intake WHERE slot >= to_timestamp(:since) AND service = :service
                    AND intake.key_id = unknown.key_id)
            )
            SELECT DISTINCT extract(epoch FROM slot)::bigint AS slot FROM refused
            WHERE service <> '' OR key_id IN (SELECT key_id FROM senders) ORDER BY 1
            """
        ),
        {"service": service, "from_s": from_s, "since": from_s - SENT_LATELY_S, "reasons": sorted(reasons)},
    )
    return [row.slot for row in rows]


async def refused_between(
    connection: AsyncConnection, service: str, reasons: Collection[str], start: float, stop: float
) -> bool:
    """Whether something of a service was refused with these codes in [start, stop), to the slot; of Evenkeel itself
    whoever sent it."""
    if service != OWN:
        slots = await refused_slots(connection, service, start - SLOT_S, reasons)
        return any(slot < stop for slot in slots)
    rows = await connection.execute(
        text(
            """
            SELECT EXISTS (SELECT FROM intake WHERE slot > to_timestamp(:start) AND slot < to_timestamp(:stop)
                AND reason = ANY (:reasons))
            """
        ),
        {"start": start - SLOT_S, "stop": stop, "reasons": sorted(reasons)},
    )
    return bool(rows.scalar_one())
