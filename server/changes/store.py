"""SQL of changes: whatever altered production."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.names import OTHER, OWN
from server.kernel.times import Instant
from server.tables.codec import Rows
from server.tables.outcomes import series
from server.tables.records import changes

# Two watches that both believe to lead for a moment must not record a deploy twice.
LOCK = 0x45564B44


class Change(Struct):
    """One change. `kind` is deploy, revision, scale, flag, environment, policy, exclusion or override (of the gate)."""

    id: int
    at: Instant
    kind: str
    service: str
    version: str
    summary: str
    author: str
    detail: Any = None


CHANGES = Rows(changes, Change)


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
    connection: AsyncConnection,
    since: float,
    service: str | None = None,
    limit: int = 100,
    before: int | None = None,
    *,
    until: float | None = None,
) -> list[Change]:
    """Changes at or after `since` (Unix seconds), newest first; with a service, its own and Evenkeel's settings'.

    `before` is the id of the last one already seen, `until` the time from which on none is told.
    """
    found = CHANGES.select().where(changes.c.at >= func.to_timestamp(float(since)))
    if until is not None:
        found = found.where(changes.c.at < func.to_timestamp(float(until)))
    if service is not None:
        # A setting of ours changes what is taken in from every service; a policy names the services that it concerns.
        settings = changes.c.kind.in_(("revision", "environment"))
        policy = (changes.c.kind == "policy") & changes.c.detail["services"].contains([service])
        found = found.where((changes.c.service == service) | settings | policy)
    if before is not None:
        older = text("(changes.at, changes.id) < (SELECT c.at, c.id FROM changes c WHERE c.id = :before)")
        found = found.where(older.bindparams(before=before))
    rows = await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(limit))
    return CHANGES.every(rows)


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

    It was at the version's first outcome, however late that came. The first version of a service is where it began
    to send, not a deploy.
    """
    await lock(connection)
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
                         AND (earlier.first_seen_at, earlier.id) < (
                             SELECT own.first_seen_at, own.id FROM series own
                             WHERE own.service = series.service AND own.version = series.version
                             ORDER BY own.first_seen_at, own.id LIMIT 1))
        RETURNING service, version
        """
    )
    values = {"floor": floor, "own": OWN, "other": OTHER}
    return [(row.service, row.version) for row in await connection.execute(statement, values)]


async def lock(connection: AsyncConnection) -> None:
    """Nobody else detects or announces changes until this transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def newest(connection: AsyncConnection, service: str, kind: str) -> Change | None:
    """The last change of a kind to a service."""
    found = CHANGES.select().where(changes.c.service == service, changes.c.kind == kind)
    return CHANGES.one(await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(1)))


async def adopt(connection: AsyncConnection, change_id: int, summary: str, author: str, detail: Any) -> Change:
    """Give a change that was only detected the words of who made it."""
    values = {"summary": summary, "author": author, "detail": detail}
    mine = update(changes).where(changes.c.id == change_id).values(values)
    return CHANGES.read((await connection.execute(mine.returning(*CHANGES.selected))).one())


async def rolled_back(connection: AsyncConnection, service: str, version: str) -> Change | None:
    """The last deploy that took a version of a service out of production."""
    undone = changes.c.detail["rolls_back"].astext == version
    found = CHANGES.select().where(changes.c.service == service, changes.c.kind == "deploy", undone)
    return CHANGES.one(await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(1)))


# By when each came out first: a version that was rolled back and goes out once more is no older for that.
OLDER = text(
    """
    WITH came AS (
        SELECT version, min(at) AS at FROM (
            SELECT version, at FROM changes WHERE kind = 'deploy' AND service = :service
            UNION ALL SELECT version, first_seen_at FROM series WHERE service = :service
        ) AS known WHERE version IN (:version, :than) GROUP BY version
    )
    SELECT coalesce(
        (SELECT at FROM came WHERE version = :version) < (SELECT at FROM came WHERE version = :than), false
    )
    """
)


async def older(connection: AsyncConnection, service: str, version: str, than: str) -> bool:
    """Whether a version of a service was in production before another one first was."""
    values = {"service": service, "version": version, "than": than}
    return bool((await connection.execute(OLDER, values)).scalar_one())


async def older_than_running(connection: AsyncConnection, service: str, version: str) -> bool:
    """Whether a version was in production before the one that was deployed last first was."""
    running = await newest(connection, service, "deploy")
    return running is not None and await older(connection, service, version, running.version)
