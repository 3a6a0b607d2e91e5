"""SQL of where flags are read, and of what they were."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.changes.flags import Flag
from server.kernel.times import Instant
from server.tables.codec import Rows
from server.tables.flags import flag_sources

CLAIM_S = 60.0  # longer than a look
EVERY_S = 30.0

ANY_DUE = "EXISTS (SELECT FROM flag_sources WHERE removed_at IS NULL AND address <> '' AND next_at <= now())"


class FlagSource(Struct):
    """Where flags of a service are read; `address` '': their document is sent to us. `flags` None: not read yet."""

    id: int
    name: str
    service: str
    address: str  # sealed
    host: str
    header: str  # sealed
    created_by: str
    created_at: Instant
    etag: str = ""
    flags: dict[str, Flag] | None = None
    looked_at: Instant | None = None
    error: str = ""


SOURCES = Rows(flag_sources, FlagSource)
IN_FORCE = flag_sources.c.removed_at.is_(None)


async def every(connection: AsyncConnection) -> list[FlagSource]:
    """Those in force, by service and name."""
    found = SOURCES.select().where(IN_FORCE).order_by(flag_sources.c.service, flag_sources.c.name)
    return SOURCES.every(await connection.execute(found))


async def add(connection: AsyncConnection, values: dict[str, Any]) -> FlagSource | None:
    """A new one; None where the service has one of this name."""
    try:
        async with connection.begin_nested():
            rows = await connection.execute(insert(flag_sources).values(values).returning(*SOURCES.selected))
            return SOURCES.one(rows)
    except IntegrityError:
        return None


async def sent(connection: AsyncConnection, service: str, name: str, by: str) -> FlagSource:
    """The one of this name whose document is sent to us, held until the transaction ends; made where there is none."""
    values = {"service": service, "name": name, "address": "", "host": "", "header": "", "created_by": by}
    made = upsert(flag_sources).values(values)
    await connection.execute(made.on_conflict_do_nothing())
    mine = (flag_sources.c.service == service) & (func.lower(flag_sources.c.name) == func.lower(name)) & IN_FORCE
    return SOURCES.read((await connection.execute(SOURCES.select().where(mine).with_for_update())).one())


async def claim(connection: AsyncConnection) -> FlagSource | None:
    """One that is to be looked at, ours for CLAIM_S; None: none is."""
    due = (
        select(flag_sources.c.id)
        .where(IN_FORCE, flag_sources.c.address != "", flag_sources.c.next_at <= func.clock_timestamp())
        .order_by(flag_sources.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    mine = update(flag_sources).where(flag_sources.c.id == due.scalar_subquery())
    later = func.clock_timestamp() + text(f"interval '{CLAIM_S} s'")
    return SOURCES.one(await connection.execute(mine.values(next_at=later).returning(*SOURCES.selected)))


async def held(connection: AsyncConnection, source_id: int) -> FlagSource | None:
    """One in force, held until the transaction ends."""
    mine = SOURCES.select().where(flag_sources.c.id == source_id, IN_FORCE).with_for_update()
    return SOURCES.one(await connection.execute(mine))


async def looked(
    connection: AsyncConnection, source_id: int, flags: dict[str, Flag] | None, etag: str, error: str
) -> None:
    """What a look has found; None: what it was before stays."""
    values: dict[str, Any] = {"error": error, "next_at": func.now() + text(f"interval '{EVERY_S} s'")}
    if not error:
        values["looked_at"] = func.now()
    if flags is not None:
        values |= {"flags": {name: [one.value, one.digest] for name, one in flags.items()}, "etag": etag}
    await connection.execute(update(flag_sources).where(flag_sources.c.id == source_id).values(values))


async def remove(connection: AsyncConnection, source_id: int) -> FlagSource | None:
    """Forget one with what it holds; None where there is none."""
    found = await held(connection, source_id)
    gone = {"removed_at": func.now(), "address": "", "header": "", "flags": None}
    await connection.execute(update(flag_sources).where(flag_sources.c.id == source_id).values(gone))
    return found
