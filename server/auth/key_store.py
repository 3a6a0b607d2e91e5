"""SQL of API keys as they are made, listed and revoked."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.tables.people import api_keys


async def add(connection: AsyncConnection, values: dict[str, Any], lifetime_s: int | None) -> int:
    """A new key's row; its id. The lifetime counts by the database's clock."""
    ends = func.now() + text("make_interval(secs => :lifetime)").bindparams(lifetime=lifetime_s) if lifetime_s else None
    row = await connection.execute(insert(api_keys).values(**values, expires_at=ends).returning(api_keys.c.id))
    return int(row.scalar_one())


async def every(connection: AsyncConnection) -> list[Any]:
    """Every key, the newest first."""
    return list(await connection.execute(select(api_keys).order_by(api_keys.c.id.desc())))


async def by_id(connection: AsyncConnection, key_id: int) -> Any:
    """One key's row, locked until the transaction ends; None where there is none."""
    row = await connection.execute(select(api_keys).where(api_keys.c.id == key_id).with_for_update())
    return row.one_or_none()


async def revoke(connection: AsyncConnection, key_id: int) -> datetime:
    statement = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=func.now())
    row = await connection.execute(statement.returning(api_keys.c.revoked_at))
    revoked_at: datetime = row.scalar_one()
    return revoked_at
