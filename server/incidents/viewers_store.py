"""SQL of who looks at an incident: told by each process of its own streams, so that it is true across them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

GONE_S = 12.0  # nobody is shown who was not told of for so long; a process tells every 5 s


async def looking(connection: AsyncConnection, incident_id: int) -> list[str]:
    """Who looks just now, by name."""
    statement = """
        SELECT person FROM incident_viewers
        WHERE incident_id = :id AND seen_at > now() - make_interval(secs => :gone) ORDER BY person
        """
    return [row.person for row in await connection.execute(text(statement), {"id": incident_id, "gone": GONE_S})]


async def seen(connection: AsyncConnection, incident_id: int, people: Iterable[str]) -> None:
    """These look just now; who has not looked at any for an hour is forgotten. Sorted, so that two processes never
    wait for each other."""
    await connection.execute(
        text(
            """
            INSERT INTO incident_viewers (incident_id, person, seen_at)
            SELECT :id, person, now() FROM unnest(CAST(:people AS text[])) AS person ORDER BY person
            ON CONFLICT (incident_id, person) DO UPDATE SET seen_at = excluded.seen_at
            """
        ),
        {"id": incident_id, "people": sorted(set(people))},
    )
    await connection.execute(text("DELETE FROM incident_viewers WHERE seen_at < now() - interval '1 hour'"))
