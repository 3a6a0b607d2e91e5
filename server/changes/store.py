"""SQL of changes: whatever altered production."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.names import OTHER, OWN
from server.tables import changes, series
from server.times import Instant

# Two watches that both believe to lead for a moment must not record a deploy twice.
LOCK = 0x45564B44


class Change(Struct):
    """One change. `kind` is deploy, revision, scale, flag or environment."""

    id: int
    at: Instant
    kind: str
    service: str
    version: str
    summary: str
    author: str
    detail: Any = None


async def record(
    connection: AsyncConnection,
    kind: str,
    service: str,
    version: str,
    summary: str,
    *,
    author: str,
    detail: Any = None,
) -> int:
    """Record a change in the act's own transaction; its id."""
    values = {
        "kind": kind,
        "service": service,
        "version": version,
        "summary": summary,
        "author": author,
        "detail": detail,
        "at": func.clock_timestamp(),
    }
    rows = await connection.execute(insert(changes).values(values).returning(changes.c.id))
    return int(rows.scalar_one())


async def recent(
    connection: AsyncConnection, since: float, service: str | None = None, limit: int = 100, before: int | None = None
) -> list[Change]:
    """Changes at or after `since` (Unix seconds), newest first; with a service, its own and Evenkeel's settings'.

    `before` is the id of the last one already seen.
    """
    found = select(changes).where(changes.c.at >= func.to_timestamp(float(since)))
    if service is not None:
        # A setting of ours changes what is taken in from every service.
        found = found.where((changes.c.service == service) | changes.c.kind.in_(("revision", "environment")))
    if before is not None:
        older = text("(changes.at, changes.id) < (SELECT c.at, c.id FROM changes c WHERE c.id = :before)")
        found = found.where(older.bindparams(before=before))
    rows = await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(limit))
    return [
        Change(
            id=row.id,
            at=row.at,
            kind=row.kind,
            service=row.service,
            version=row.version,
            summary=row.summary,
            author=row.author,
            detail=row.detail,
        )
        for row in rows
    ]


async def last_environment(connection: AsyncConnection, host: str) -> dict[str, Any]:
    """The environment last recorded for a host, else for any host; empty where none was."""
    same_host = changes.c.detail["host"].astext == host
    found = select(changes.c.detail).where(changes.c.kind == "environment")
    rows = await connection.execute(found.order_by(same_host.desc(), changes.c.id.desc()).limit(1))
    detail = rows.scalar_one_or_none()
    return dict(detail["environment"]) if detail else {}


async def newest_series(connection: AsyncConnection) -> int:
    """The highest number of a series; 0 where there is none."""
    return int((await connection.execute(select(func.coalesce(func.max(series.c.id), 0)))).scalar_one())


async def record_first_seen(connection: AsyncConnection, floor: int) -> list[tuple[str, str]]:
    """Record a deploy for each version first seen in series above `floor`; the services and versions recorded.

    The first version of a service is where it began to send, not a deploy.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    statement = text(
        """
        INSERT INTO changes (at, kind, service, version, summary, author, detail)
        SELECT min(first_seen_at), 'deploy', service, version, 'first seen: ' || version, :own,
               '{"detected": "first outcome"}'::jsonb
        FROM series
        WHERE id > :floor AND version NOT IN ('', :other) AND service <> :other
          AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.kind = 'deploy'
                          AND c.service = series.service AND c.version = series.version)
        GROUP BY service, version
        HAVING EXISTS (SELECT 1 FROM series earlier
                       WHERE earlier.service = series.service AND earlier.version NOT IN ('', :other, series.version)
                         AND earlier.id < (SELECT min(own.id) FROM series own
                                           WHERE own.service = series.service AND own.version = series.version))
        RETURNING service, version
        """
    )
    values = {"floor": floor, "own": OWN, "other": OTHER}
    return [(row.service, row.version) for row in await connection.execute(statement, values)]
