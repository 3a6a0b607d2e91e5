"""SQL of maintenance windows: begun and ended by an update that only one can make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.maintenance.window import MaintenanceWindow
from server.tables.codec import Rows
from server.tables.maintenance import maintenance_windows


class WindowRow(MaintenanceWindow):
    """A window with the change that shows it."""

    change_id: int | None


WINDOWS = Rows(maintenance_windows, WindowRow)
COLUMNS = WINDOWS.columns

ADD = insert(maintenance_windows).returning(*WINDOWS.selected)
ONE = text(f"SELECT {COLUMNS} FROM maintenance_windows WHERE id = :id")
HOLD = text(f"SELECT {COLUMNS} FROM maintenance_windows WHERE id = :id FOR UPDATE")
SAME = text(f"""
SELECT {COLUMNS} FROM maintenance_windows
WHERE services = CAST(:services AS text[]) AND start = :start AND stop = :stop AND ended_at IS NULL
ORDER BY id LIMIT 1
""")
OPEN = text(f"SELECT {COLUMNS} FROM maintenance_windows WHERE ended_at IS NULL ORDER BY start, id")
OVER = text(f"""
SELECT {COLUMNS} FROM maintenance_windows WHERE ended_at IS NOT NULL ORDER BY ended_at DESC, id DESC LIMIT :limit
""")
DUE_BY = "ended_at IS NULL AND (started_at IS NULL AND start <= to_timestamp(:now) OR stop <= to_timestamp(:now))"
ANY_DUE = f"EXISTS (SELECT FROM maintenance_windows WHERE {DUE_BY})"
DUE = text(f"SELECT id FROM maintenance_windows WHERE {DUE_BY} ORDER BY start, id")
BEGIN = text(f"""
UPDATE maintenance_windows SET started_at = to_timestamp(:now), change_id = :change
WHERE id = :id AND started_at IS NULL AND ended_at IS NULL RETURNING {COLUMNS}
""")
END = text(f"""
UPDATE maintenance_windows SET ended_at = to_timestamp(:at), ended_by = :by
WHERE id = :id AND ended_at IS NULL RETURNING {COLUMNS}
""")
MOVE = text(f"UPDATE maintenance_windows SET stop = :stop WHERE id = :id RETURNING {COLUMNS}")


async def add(connection: AsyncConnection, values: dict[str, Any]) -> WindowRow:
    """Plan one."""
    return WINDOWS.read((await connection.execute(ADD, values)).one())


async def one(connection: AsyncConnection, number: int, *, hold: bool = False) -> WindowRow | None:
    """The window of a number; held, nobody else changes it until the transaction ends."""
    return WINDOWS.one(await connection.execute(HOLD if hold else ONE, {"id": number}))


async def same(
    connection: AsyncConnection, services: Sequence[str], start: datetime, stop: datetime
) -> WindowRow | None:
    """One that is planned or runs, of the same services and times."""
    values = {"services": list(services), "start": start, "stop": stop}
    return WINDOWS.one(await connection.execute(SAME, values))


async def open_(connection: AsyncConnection) -> list[WindowRow]:
    """Those that are planned or run, the one that begins first first."""
    return WINDOWS.every(await connection.execute(OPEN))


async def over(connection: AsyncConnection, limit: int) -> list[WindowRow]:
    """The newest that have ended or were cancelled."""
    return WINDOWS.every(await connection.execute(OVER, {"limit": limit}))


async def due(connection: AsyncConnection, now: float) -> list[int]:
    """Those that are to begin or to end by now, Unix seconds."""
    return [row.id for row in await connection.execute(DUE, {"now": now})]


async def begin(connection: AsyncConnection, number: int, change: int, now: float) -> WindowRow | None:
    """It has begun, marked by a change; None: it had before, or is over."""
    return WINDOWS.one(await connection.execute(BEGIN, {"id": number, "change": change, "now": now}))


async def end(connection: AsyncConnection, number: int, by: str, at: float) -> WindowRow | None:
    """It has ended; None: it had before."""
    return WINDOWS.one(await connection.execute(END, {"id": number, "by": by, "at": at}))


async def move(connection: AsyncConnection, number: int, stop: datetime) -> WindowRow:
    """It ends at another time."""
    return WINDOWS.read((await connection.execute(MOVE, {"id": number, "stop": stop})).one())
