"""What ages out here: alerts that were over long ago, and silences. Deleted in bites that hold no lock for long."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database

BITE = 500  # in one transaction; an alert that flapped takes hundreds of events along
ALERTS_KEPT_DAYS = 400  # after they were resolved, as long as the ledger: what a monthly report tells of
SILENCES_KEPT_DAYS = 90  # after they ended


async def drop_alerts(connection: AsyncConnection) -> int:
    """Delete one bite of the alerts resolved long ago, with their events and what was sent of them; how many."""
    # Detected before it was resolved: so the index finds them.
    rows = await connection.execute(
        text(
            """
            SELECT id FROM alerts
            WHERE state = 'resolved' AND resolved_at < now() - make_interval(days => :days)
              AND detected_at < now() - make_interval(days => :days)
            ORDER BY detected_at LIMIT :bite
            """
        ),
        {"days": ALERTS_KEPT_DAYS, "bite": BITE},
    )
    old = [row[0] for row in rows]
    for statement in (
        "DELETE FROM notifications WHERE alert_id = ANY(:ids)",
        "DELETE FROM alert_events WHERE alert_id = ANY(:ids)",
        "DELETE FROM alert_outages WHERE alert_id = ANY(:ids)",
        "DELETE FROM incident_alerts WHERE alert_id = ANY(:ids)",
        "DELETE FROM alerts WHERE id = ANY(:ids)",
    ):
        await connection.execute(text(statement), {"ids": old})
    return len(old)


async def drop_silences(connection: AsyncConnection) -> int:
    """Delete one bite of the silences that ended long ago, in time or by hand; how many."""
    done = await connection.execute(
        text(
            """
            DELETE FROM silences WHERE id = ANY (ARRAY(
                SELECT id FROM silences WHERE least(ends_at, ended_at) < now() - make_interval(days => :days)
                ORDER BY id LIMIT :bite))
            """
        ),
        {"days": SILENCES_KEPT_DAYS, "bite": BITE},
    )
    return done.rowcount


async def forget_old(db: Database) -> None:
    """Drop what is older than people look back, some of it at a time."""
    for drop in (drop_alerts, drop_silences):
        await db.in_bites(drop, BITE)
