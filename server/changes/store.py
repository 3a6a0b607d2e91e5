"""SQL of changes: whatever altered production."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from sqlalchemy import ColumnElement, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.names import OTHER, OWN
from server.kernel.times import Instant
from server.tables.codec import Rows
from server.tables.outcomes import series
from server.tables.records import changes

# Two watches that both believe to lead for a moment must not record a deploy twice.
LOCK = 0x45564B44


ChangeState = Literal["started", "finished", "failed"]
Migration = Literal["none", "reversible", "irreversible", "unknown"]


class Change(Struct):
    """One change. `kind` is deploy, revision, scale, flag, other (as told by its platform), environment, policy,
    exclusion, override (of the gate), maintenance, or of Evenkeel itself migration or restart.

    `at` is when it began, `finished` when it ended, null while it is under way or where nobody has told. `author` is
    who told of it, `actor` who made it, as that says. `migration`: whether its migration of a database can be undone.
    """

    id: int
    at: Instant
    kind: str
    service: str
    version: str
    summary: str
    author: str
    detail: Any = None
    state: ChangeState = "finished"
    finished: Instant | None = None
    migration: Migration = "unknown"
    actor: str = ""
    link: str = ""


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
    **more: Any,
) -> int:
    """Record a change in the act's own transaction; its id. `more` are other columns; it began now where `at` is none
    of them."""
    values = {
        "kind": kind,
        "service": service,
        "version": version,
        "summary": summary,
        "author": author,
        "detail": detail,
        "at": func.clock_timestamp(),
    } | more
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
        # A setting of ours changes what is taken in from every service.
        settings = changes.c.kind.in_(("revision", "environment"))
        found = found.where((changes.c.service == service) | settings | of_several(service))
    if before is not None:
        older = text("(changes.at, changes.id) < (SELECT c.at, c.id FROM changes c WHERE c.id = :before)")
        found = found.where(older.bindparams(before=before))
    rows = await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(limit))
    return CHANGES.every(rows)


def of_several(service: str) -> ColumnElement[bool]:
    """Whether a change names the service among those that it concerns."""
    return changes.c.kind.in_(("policy", "maintenance")) & changes.c.detail["services"].contains([service])


async def maintenance_at(connection: AsyncConnection, at: float) -> list[Change]:
    """The maintenance that went on at a time, Unix seconds, of whatever service; newest first."""
    when = func.to_timestamp(at)
    found = CHANGES.select().where(
        changes.c.kind == "maintenance",
        changes.c.at <= when,
        changes.c.finished.is_(None) | (changes.c.finished > when),
    )
    return CHANGES.every(await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc())))


async def revisions_of(connection: AsyncConnection, incident_id: int, since: float, limit: int = 20) -> list[Change]:
    """The revisions that acts of an incident have made since a time (Unix seconds), newest first."""
    mine = changes.c.detail.contains({"incident": incident_id})
    found = CHANGES.select().where(changes.c.kind == "revision", mine, changes.c.at >= func.to_timestamp(float(since)))
    return CHANGES.every(await connection.execute(found.order_by(changes.c.id.desc()).limit(limit)))


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


class Restarted(NamedTuple):
    """A process of Evenkeel that took the place of another of its name: `died`, that one had not stopped in order."""

    id: int
    name: str
    host: str
    died: bool


# After some seconds, so that those that start together are told together; of what is older nobody is told any more.
RESTARTED = text(
    """
    SELECT p.id, p.name, p.host, before.stopped_at IS NULL AS died FROM processes p
    JOIN LATERAL (
        SELECT o.stopped_at FROM processes o WHERE o.host = p.host AND o.name = p.name AND o.id < p.id
        ORDER BY o.id DESC LIMIT 1
    ) AS before ON true
    WHERE p.started_at BETWEEN clock_timestamp() - interval '10 min' AND clock_timestamp() - interval '5 s'
        AND NOT EXISTS (SELECT FROM changes c WHERE c.kind = 'restart' AND c.at >= p.started_at
            AND c.detail -> 'processes' @> to_jsonb(p.id))
    ORDER BY p.id
    """
)


ANY_RESTARTED = f"EXISTS ({RESTARTED.text})"
SERIES_COME = "(SELECT coalesce(max(id), 0) FROM series) <> :series_looked_at"


async def restarted(connection: AsyncConnection) -> list[Restarted]:
    """Processes that were started again and are in no change yet."""
    return [Restarted(*row) for row in await connection.execute(RESTARTED)]


async def lock(connection: AsyncConnection) -> None:
    """Nobody else detects or announces changes until this transaction ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def now(connection: AsyncConnection) -> datetime:
    """The database's time."""
    found: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return found


async def newest(connection: AsyncConnection, service: str, kind: str, until: datetime | None = None) -> Change | None:
    """The last change of a kind to a service, that began by `until` where that is given."""
    found = CHANGES.select().where(changes.c.service == service, changes.c.kind == kind)
    if until is not None:
        found = found.where(changes.c.at <= until)
    return CHANGES.one(await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(1)))


async def under_way(connection: AsyncConnection, service: str, kind: str, version: str) -> Change | None:
    """The last change of a kind that brings this version to a service and was told as started only."""
    found = CHANGES.select().where(
        changes.c.service == service, changes.c.kind == kind, changes.c.version == version, changes.c.state == "started"
    )
    return CHANGES.one(await connection.execute(found.order_by(changes.c.at.desc(), changes.c.id.desc()).limit(1)))


async def told_as(connection: AsyncConnection, name: str, within_s: float | None) -> Change | None:
    """The change that its platform knows by this name; with `within_s` one that began so long ago at most."""
    found = CHANGES.select().where(changes.c.told_as == name)
    if within_s is not None:
        found = found.where(changes.c.at > func.clock_timestamp() - timedelta(seconds=within_s))
    return CHANGES.one(await connection.execute(found.order_by(changes.c.id.desc()).limit(1)))


async def told_at(connection: AsyncConnection, service: str, platform: str, at: datetime) -> list[Change]:
    """The changes of a service that a platform has told to be of this moment."""
    found = CHANGES.select().where(changes.c.service == service, changes.c.at == at)
    return CHANGES.every(await connection.execute(found.where(changes.c.told_as.startswith(f"{platform}/"))))


async def detected(
    connection: AsyncConnection, service: str, version: str, at: datetime, around_s: float
) -> Change | None:
    """The deploy of a version that was only detected, by a first outcome around a time."""
    around = timedelta(seconds=around_s)
    found = CHANGES.select().where(
        changes.c.service == service,
        changes.c.kind == "deploy",
        changes.c.version == version,
        changes.c.author == OWN,
        changes.c.detail.has_key("detected"),
        changes.c.at.between(at - around, at + around),
    )
    return CHANGES.one(await connection.execute(found.order_by(changes.c.id.desc()).limit(1)))


async def newest_version(connection: AsyncConnection, service: str) -> str:
    """The version that senders of a service began to write last; '' where they write none."""
    found = select(series.c.version).where(series.c.service == service, series.c.version.not_in(("", OTHER)))
    return (await connection.execute(found.order_by(series.c.id.desc()).limit(1))).scalar_one_or_none() or ""


async def several(connection: AsyncConnection, ids: Collection[int]) -> list[Change]:
    """The changes of these ids."""
    return CHANGES.every(await connection.execute(CHANGES.select().where(changes.c.id.in_(ids))))


async def adopt(connection: AsyncConnection, change_id: int, **values: Any) -> Change:
    """Give a change that was only detected what who made it says of it."""
    mine = update(changes).where(changes.c.id == change_id).values(values)
    return CHANGES.read((await connection.execute(mine.returning(*CHANGES.selected))).one())


async def finish(
    connection: AsyncConnection, change_id: int, state: ChangeState, finished: datetime, **more: Any
) -> Change | None:
    """End a change that is under way; `more` are other columns. None: it is not, or there is none."""
    mine = update(changes).where(changes.c.id == change_id, changes.c.state == "started")
    ended = mine.values({"state": state, "finished": finished} | more).returning(*CHANGES.selected)
    return CHANGES.one(await connection.execute(ended))


async def rolled_back(connection: AsyncConnection, service: str, version: str) -> Change | None:
    """The last deploy that took a version of a service out of production; one that failed did not. What was rolled back
    in an incident may go out again once that is closed."""
    undone = (changes.c.detail["rolls_back"].astext == version) & (changes.c.state != "failed")
    undone &= text(
        "NOT EXISTS (SELECT FROM incidents i JOIN incidents stays ON stays.id = coalesce(i.merged_into, i.id)"
        " WHERE i.id = (changes.detail ->> 'incident')::bigint AND stays.state = 'closed')"
    )
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
