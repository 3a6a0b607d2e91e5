"""SQL of revisions. Times are the database's own, so that processes' clocks do not matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Row, Select, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config.revisions import Entries, Kind, Revision, key_id_of
from server.config.staged import LIVE
from server.tables.config import revisions, rollouts
from server.tables.people import api_keys

# Every act on the settings is made under this lock, so that numbers have no gaps and races have one winner.
LOCK = 0x45564B43

NOW = func.extract("epoch", func.clock_timestamp())


async def lock(connection: AsyncConnection) -> None:
    """Wait until no other act is in progress, and let none begin until the end of the transaction."""
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))


def query() -> Select[Any]:
    at = func.extract("epoch", revisions.c.at).label("at_s")
    return select(revisions, at)


def revision_of(row: Row[Any]) -> Revision:
    return Revision(
        number=row.number,
        kind=row.kind,
        restores=row.restores,
        made_from=row.made_from,
        author=row.author,
        reason=row.reason,
        at=float(row.at_s),
        entries=msgspec.convert(row._mapping["values"], Entries),
    )


async def current(connection: AsyncConnection) -> tuple[Revision, float]:
    """The newest revision, in force or staged, and the database's time now, Unix seconds."""
    newest_one = query().add_columns(NOW.label("now_s")).order_by(revisions.c.number.desc()).limit(1)
    row = (await connection.execute(newest_one)).one()
    return revision_of(row), float(row.now_s)


async def in_force(connection: AsyncConnection, process_id: int) -> tuple[Revision, float]:
    """The revision in force in one process, and the database's time now.

    One statement, so that nobody can see a new revision and not that it is staged.
    """
    elsewhere = rollouts.c.state.in_(LIVE) & ~rollouts.c.chosen.has_key(str(process_id))
    base = select(func.max(rollouts.c.base)).where(elsewhere).scalar_subquery()
    newest_one = select(func.max(revisions.c.number)).scalar_subquery()
    found = query().add_columns(NOW.label("now_s")).where(revisions.c.number == func.coalesce(base, newest_one))
    row = (await connection.execute(found)).one()
    return revision_of(row), float(row.now_s)


async def numbered(connection: AsyncConnection, number: int) -> Revision:
    """One revision that is known to exist."""
    return revision_of((await connection.execute(query().where(revisions.c.number == number))).one())


async def act_up_to(connection: AsyncConnection, number: int) -> Revision:
    """The newest revision up to `number` that somebody made: what ended by itself is nobody's act."""
    acts = query().where(revisions.c.number <= number, revisions.c.kind != "expiry")
    return revision_of((await connection.execute(acts.order_by(revisions.c.number.desc()).limit(1))).one())


async def acts_after(connection: AsyncConnection, number: int, limit: int = 20) -> list[Revision]:
    """The revisions after `number` that somebody made, oldest first."""
    acts = query().where(revisions.c.number > number, revisions.c.kind != "expiry")
    rows = await connection.execute(acts.order_by(revisions.c.number).limit(limit))
    return [revision_of(row) for row in rows]


async def newest(connection: AsyncConnection, limit: int, before: int | None = None) -> list[Revision]:
    """Revisions, newest first, below `before` where given."""
    found = query().order_by(revisions.c.number.desc()).limit(limit)
    if before is not None:
        found = found.where(revisions.c.number < before)
    return [revision_of(row) for row in await connection.execute(found)]


async def save(
    connection: AsyncConnection,
    number: int,
    entries: Entries,
    *,
    kind: Kind,
    restores: int | None = None,
    made_from: int | None = None,
    author: str,
    reason: str,
    request_id: str = "",
) -> Revision:
    """Store a revision. The caller holds the lock."""
    values = {
        "number": number,
        "values": msgspec.to_builtins(entries),
        "kind": kind,
        "restores": restores,
        "made_from": made_from,
        "author": author,
        "reason": reason,
        "request_id": request_id,
        "at": func.clock_timestamp(),
    }
    at = func.extract("epoch", revisions.c.at).label("at_s")
    rows = await connection.execute(insert(revisions).values(values).returning(revisions, at))
    return revision_of(rows.one())


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
