"""SQL of the audit table. It is append-only: a trigger refuses anything but INSERT."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.tables.people import audit


async def add(connection: AsyncConnection, values: dict[str, Any]) -> None:
    await connection.execute(insert(audit).values(values))


async def recent(connection: AsyncConnection, limit: int, before: int | None) -> list[Any]:
    """The newest rows first, below the id `before`."""
    found = select(audit).order_by(audit.c.id.desc()).limit(limit)
    return list(await connection.execute(found if before is None else found.where(audit.c.id < before)))
