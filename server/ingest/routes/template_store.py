"""SQL of patterns of routes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.routes.templates import RoutePattern
from server.tables.codec import Rows
from server.tables.routes import route_patterns

PATTERNS = Rows(route_patterns, RoutePattern)
LEARNED_MAX = 200  # of a service
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('evenkeel route patterns'))")


async def every(connection: AsyncConnection) -> list[RoutePattern]:
    """All of them: those of people before those that were learned."""
    ordered = PATTERNS.select().order_by(
        route_patterns.c.service, route_patterns.c.author == "", route_patterns.c.pattern
    )
    return PATTERNS.every(await connection.execute(ordered))


async def of_service(connection: AsyncConnection, service: str) -> list[RoutePattern]:
    """Those of a service."""
    return [one for one in await every(connection) if one.service == service]


async def learn(connection: AsyncConnection, service: str, patterns: Sequence[str]) -> bool:
    """Keep what a process has learned of one place, the last of the patterns; whether nobody else had before."""
    await connection.execute(LOCK)
    mine = route_patterns.c.service == service
    known = await connection.execute(select(func.count()).where(mine, route_patterns.c.author == ""))
    place = await connection.execute(
        select(route_patterns.c.pattern).where(mine, route_patterns.c.pattern == patterns[-1])
    )
    if known.scalar_one() + len(patterns) > LEARNED_MAX or place.one_or_none() is not None:
        return False
    rows = [{"service": service, "pattern": pattern, "author": ""} for pattern in patterns]
    await connection.execute(insert(route_patterns).values(rows).on_conflict_do_nothing())
    return True


async def put(connection: AsyncConnection, service: str, patterns: Sequence[str], author: str) -> None:
    """These are a person's patterns of a service, in the place of all that were; what was learned stays learned."""
    await connection.execute(LOCK)
    mine = route_patterns.c.service == service
    await connection.execute(delete(route_patterns).where(mine, route_patterns.c.author != ""))
    if patterns:
        rows = [{"service": service, "pattern": pattern, "author": author} for pattern in dict.fromkeys(patterns)]
        statement = insert(route_patterns).values(rows)
        own = {"author": statement.excluded.author, "at": func.now()}
        await connection.execute(statement.on_conflict_do_update(index_elements=["service", "pattern"], set_=own))
