"""SQL of when a service's senders were refused."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SENT_LATELY_S = 3600  # a key that sent the service this long before counts as its sender


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
