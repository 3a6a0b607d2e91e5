"""SQL of alerts that cannot be read, as after a change of their shape: they must not stop the others."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.names import OWN

UNREAD = "unreadable"  # a line of the timeline


async def end_unread(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """End alerts that cannot be read, so that what burns makes a new one; their rows stay as they are."""
    if not ids:
        return
    values = {"ids": list(ids), "kind": UNREAD, "text": "It cannot be read, and was ended: what burns is a new alert."}
    await connection.execute(
        text(
            f"""
            WITH ended AS (
                UPDATE alerts SET state = 'resolved', resolved_at = now(), updated_at = now()
                WHERE id = ANY(:ids) AND state <> 'resolved' RETURNING id
            )
            INSERT INTO alert_events (alert_id, kind, text, author) SELECT id, :kind, :text, '{OWN}' FROM ended
            """
        ),
        values,
    )


async def ended_unread(connection: AsyncConnection, within_s: float) -> list[int]:
    """The alerts that were ended so within the last seconds."""
    rows = await connection.execute(
        text(
            """
            SELECT DISTINCT alert_id FROM alert_events
            WHERE kind = :kind AND at > now() - make_interval(secs => :within_s) ORDER BY alert_id
            """
        ),
        {"kind": UNREAD, "within_s": within_s},
    )
    return list(rows.scalars())
