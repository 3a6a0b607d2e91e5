"""How much each service sends, from the rollups."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.slo.policy.lint import Traffic

TRAFFIC = text("""
SELECT service, sum(n)::bigint, extract(epoch FROM now() - min(hour))::float / 86400
FROM hours JOIN series ON series.id = series_id
WHERE hour > now() - make_interval(days => :days)
GROUP BY service HAVING sum(n) > 0
""")


async def traffic(connection: AsyncConnection, days: int) -> dict[str, Traffic]:
    """The traffic of each service over the last days."""
    return {row[0]: Traffic(row[1], row[2]) for row in await connection.execute(TRAFFIC, {"days": days})}
