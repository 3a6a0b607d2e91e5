"""SQL of revisions, of staged ones, and of receipts. Times are the database's own: processes' clocks do not matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Double, Select, cast, func, insert, select, text, true
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config.receipts import WebProcess
from server.config.revisions import Revision, key_id_of
from server.config.staged import LIVE, Staged
from server.process.process_store import RUNNING
from server.tables.codec import Rows
from server.tables.config import receipts, revisions, rollouts
from server.tables.people import api_keys
from server.tables.processes import processes

REVISIONS = Rows(revisions, Revision)
STAGED = Rows(rollouts, Staged)

# Every act on the settings is made under this lock, so that numbers have no gaps and races have one winner.
LOCK = 0x45564B43

LISTED_S = 3600  # a process that has gone is listed for an hour

NOW = func.extract("epoch", func.clock_timestamp())


ANY_STAGED = "EXISTS (SELECT FROM rollouts WHERE state IN ('running', 'paused'))"
# A temporary value whose time is over, in the newest revision or under a staged one.
ANY_OVERDUE = """EXISTS (
    SELECT FROM revisions
    WHERE (number = (SELECT max(number) FROM revisions)
            OR number IN (SELECT base FROM rollouts WHERE state IN ('running', 'paused')))
        AND jsonb_path_exists(revisions.values, '$[*].until ? (@ <= $now)',
            jsonb_build_object('now', extract(epoch FROM clock_timestamp())))
)"""


async def lock(connection: AsyncConnection) -> None:
    """Wait until no other act is in progress, and let none begin until the end of the transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def current(connection: AsyncConnection) -> tuple[Revision, float]:
    """The newest revision, in force or staged, and the database's time now, Unix seconds."""
    newest_one = REVISIONS.select().add_columns(NOW.label("now_s")).order_by(revisions.c.number.desc()).limit(1)
    row = (await connection.execute(newest_one)).one()
    return REVISIONS.read(row), float(row.now_s)


async def in_force(connection: AsyncConnection, process_id: int) -> tuple[Revision, float]:
    """The revision in force in one process, and the database's time now.

    One statement, so that nobody can see a new revision and not that it is staged.
    """
    elsewhere = rollouts.c.state.in_(LIVE) & ~rollouts.c.chosen.has_key(str(process_id))
    base = select(func.max(rollouts.c.base)).where(elsewhere).scalar_subquery()
    newest_one = select(func.max(revisions.c.number)).scalar_subquery()
    found = (
        REVISIONS.select().add_columns(NOW.label("now_s")).where(revisions.c.number == func.coalesce(base, newest_one))
    )
    row = (await connection.execute(found)).one()
    return REVISIONS.read(row), float(row.now_s)


async def numbered(connection: AsyncConnection, number: int) -> Revision:
    """One revision that is known to exist."""
    return REVISIONS.read((await connection.execute(REVISIONS.select().where(revisions.c.number == number))).one())


async def act_up_to(connection: AsyncConnection, number: int) -> Revision:
    """The newest revision up to `number` that somebody made: what ended by itself is nobody's act."""
    acts = REVISIONS.select().where(revisions.c.number <= number, revisions.c.kind != "expiry")
    return REVISIONS.read((await connection.execute(acts.order_by(revisions.c.number.desc()).limit(1))).one())


async def acts_after(connection: AsyncConnection, number: int, limit: int = 20) -> list[Revision]:
    """The revisions after `number` that somebody made, oldest first."""
    acts = REVISIONS.select().where(revisions.c.number > number, revisions.c.kind != "expiry")
    rows = await connection.execute(acts.order_by(revisions.c.number).limit(limit))
    return [REVISIONS.read(row) for row in rows]


async def newest(connection: AsyncConnection, limit: int, before: int | None = None) -> list[Revision]:
    """Revisions, newest first, below `before` where given."""
    found = REVISIONS.select().order_by(revisions.c.number.desc()).limit(limit)
    if before is not None:
        found = found.where(revisions.c.number < before)
    return [REVISIONS.read(row) for row in await connection.execute(found)]


async def save(connection: AsyncConnection, revision: Revision) -> Revision:
    """Store a revision, made now; as it is stored. The caller holds the lock."""
    values = msgspec.to_builtins(revision) | {"at": func.clock_timestamp()}
    at = cast(func.extract("epoch", revisions.c.at), Double)
    rows = await connection.execute(insert(revisions).values(values).returning(at))
    return msgspec.structs.replace(revision, at=rows.scalar_one())


def newest_staged() -> Select[Any]:
    """The staged revision with the highest number."""
    return STAGED.select().order_by(rollouts.c.revision.desc()).limit(1)


async def live_staged(connection: AsyncConnection) -> Staged | None:
    """The one that runs or is paused; at most one does."""
    return STAGED.one(await connection.execute(newest_staged().where(rollouts.c.state.in_(LIVE))))


async def last_staged(connection: AsyncConnection) -> Staged | None:
    """The newest one, whether or not it has ended."""
    return STAGED.one(await connection.execute(newest_staged()))


async def staged_as(connection: AsyncConnection, number: int) -> Staged | None:
    """The one that has, or had, this number."""
    found = newest_staged().where(rollouts.c.revision <= number, rollouts.c.newest >= number)
    return STAGED.one(await connection.execute(found))


async def add_staged(connection: AsyncConnection, staged: Staged) -> None:
    """Store a new one. The caller holds the lock, here and where it is changed."""
    await connection.execute(text(STAGED.insert()), STAGED.given([staged]))


async def keep_staged(connection: AsyncConnection, staged: Staged) -> None:
    """Store what has become of it."""
    update = f"UPDATE rollouts SET {STAGED.assignments()} FROM {STAGED.record} WHERE rollouts.revision = r.revision"
    await connection.execute(text(update), STAGED.given([staged]))


async def write_receipt(
    connection: AsyncConnection, process_id: int, revision: int, applied_s_ago: float, applied: Mapping[str, Any]
) -> None:
    """A process's proof. `applied_s_ago`: how long it has been in force there."""
    at = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, applied_s_ago)
    values = {"process_id": process_id, "revision": revision, "applied_at": at, "applied": dict(applied)}
    again = {"applied_at": at, "applied": dict(applied)}  # it was in force here before: a process no longer chosen
    key = [receipts.c.process_id, receipts.c.revision]
    await connection.execute(upsert(receipts).values(values).on_conflict_do_update(index_elements=key, set_=again))


async def web_processes(connection: AsyncConnection) -> list[WebProcess]:
    """The web processes that run or have gone silent, each with its newest receipt, oldest start first."""
    newest_one = (
        select(receipts)
        .where(receipts.c.process_id == processes.c.id)
        .order_by(receipts.c.applied_at.desc(), receipts.c.revision.desc())
        .limit(1)
        .lateral("newest")
    )
    silent = func.extract("epoch", func.clock_timestamp() - processes.c.heartbeat_at)
    found = (
        select(
            processes.c.id,
            processes.c.host,
            processes.c.name,
            cast(func.extract("epoch", processes.c.started_at), Double).label("started_at"),
            cast(silent, Double).label("silent_s"),
            newest_one.c.revision,
            cast(func.extract("epoch", newest_one.c.applied_at), Double).label("applied_at"),
            func.coalesce(newest_one.c.applied, text("'{}'")).label("applied"),
        )
        .select_from(processes.outerjoin(newest_one, true()))
        .where(processes.c.kind == "web", text(RUNNING), silent < LISTED_S)
        .order_by(processes.c.host, processes.c.name, processes.c.id)
    )
    return [WebProcess(**row._mapping) for row in await connection.execute(found)]


async def scope_names(connection: AsyncConnection, scopes: Iterable[str]) -> dict[str, str]:
    """The names of the keys that scopes name; a key that does not exist is left out."""
    ids = {key_id_of(scope): scope for scope in scopes}
    if not ids:
        return {}
    rows = await connection.execute(select(api_keys.c.id, api_keys.c.name).where(api_keys.c.id.in_(ids)))
    return {ids[row.id]: row.name for row in rows}


async def usable_keys(connection: AsyncConnection, only: int | None = None, limit: int = 20) -> list[tuple[int, str]]:
    """Keys that have not been revoked, newest first: id and name."""
    found = select(api_keys.c.id, api_keys.c.name).where(api_keys.c.revoked_at.is_(None))
    if only is not None:
        found = found.where(api_keys.c.id == only)
    rows = await connection.execute(found.order_by(api_keys.c.id.desc()).limit(limit))
    return [(row.id, row.name) for row in rows]
