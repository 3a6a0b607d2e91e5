"""SQL of the audit table. It is append-only: a trigger refuses anything but INSERT."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.tables import audit


async def add(connection: AsyncConnection, values: dict[str, Any]) -> None:
    await connection.execute(insert(audit).values(values))


async def recent(connection: AsyncConnection, limit: int) -> list[Any]:
    """The newest rows first."""
    return list(await connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit)))
