"""SQL of staged revisions. Whoever changes one holds the lock of server/config/store.py."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config.staged import LIVE, Staged
from server.tables.config import rollouts


def query() -> Select[Any]:
    """The rows, newest first."""
    times = [func.extract("epoch", rollouts.c[name]).label(f"{name}_s") for name in ("state_at", "checked_at")]
    return select(rollouts, *times).order_by(rollouts.c.revision.desc()).limit(1)


async def one(connection: AsyncConnection, found: Select[Any]) -> Staged | None:
    row = (await connection.execute(found)).one_or_none()
    if row is None:
        return None
    values = {str(name): value for name, value in row._mapping.items()}
    values["state_at"] = float(row.state_at_s)
    values["checked_at"] = None if row.checked_at_s is None else float(row.checked_at_s)
    return msgspec.convert(values, Staged, strict=False)


async def live(connection: AsyncConnection) -> Staged | None:
    """The one that runs or is paused; at most one does."""
    return await one(connection, query().where(rollouts.c.state.in_(LIVE)))


async def latest(connection: AsyncConnection) -> Staged | None:
    return await one(connection, query())


async def of(connection: AsyncConnection, number: int) -> Staged | None:
    """The one that has, or had, this number."""
    return await one(connection, query().where(rollouts.c.revision <= number, rollouts.c.newest >= number))


async def add(connection: AsyncConnection, staged: Staged) -> None:
    await connection.execute(insert(rollouts).values(columns(staged)))


async def keep(connection: AsyncConnection, staged: Staged) -> None:
    """Store what has become of it."""
    await connection.execute(update(rollouts).where(rollouts.c.revision == staged.revision).values(columns(staged)))


def columns(staged: Staged) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(staged, str_keys=True)
    values["state_at"] = func.to_timestamp(staged.state_at)
    values["checked_at"] = None if staged.checked_at is None else func.to_timestamp(staged.checked_at)
    return values
