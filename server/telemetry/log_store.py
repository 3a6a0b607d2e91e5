"""SQL of the log lines kept for look-up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.connection import Connection
from server.kernel.db import Database
from server.tables.codec import Rows
from server.tables.records import log_lines
from server.telemetry.log_line import OwnLine, moment

CHUNK = 5_000
CHUNKS_A_RUN = 200
LINES_SHOWN = 500

ESCAPED = re.compile(r"[\\\t\n\r]")
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class KeptLine(msgspec.Struct):
    """One kept line."""

    at: datetime
    level: str
    process: str
    logger: str
    request_id: str
    message: str
    fields: dict[str, Any] | None


LINES = Rows(log_lines, KeptLine)
in_order = itemgetter(*LINES.fields)
COPY = f"COPY log_lines ({', '.join(LINES.fields)}) FROM STDIN"


def copy_row(line: OwnLine, process: str) -> str:
    """A line in COPY's text format."""
    values = {
        "at": moment(line.at),
        "level": line.level,
        "process": escaped(process),
        "logger": escaped(line.logger),
        "request_id": escaped(line.request_id),
        "message": escaped(line.message),
        "fields": escaped(msgspec.json.encode(line.fields).decode()) if line.fields else "\\N",
    }
    return "\t".join(in_order(values)) + "\n"


def escaped(value: str) -> str:
    return value.translate(ESCAPES) if ESCAPED.search(value) else value


async def keep(connection: Connection, rows: Iterable[str]) -> None:
    """Store rows made by copy_row, in one command."""
    async with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        await copy.write("".join(rows))


async def lines(connection: AsyncConnection, request_id: str) -> list[KeptLine]:
    """The kept lines of one request, oldest first, at most LINES_SHOWN."""
    if not request_id:
        return []
    found = LINES.select().where(log_lines.c.request_id == request_id).order_by(log_lines.c.at, log_lines.c.id)
    return LINES.every(await connection.execute(found.limit(LINES_SHOWN)))


async def forget_old(db: Database, days: int, kept: int) -> int:
    """Drop lines older than `days` and all but the newest `kept`, in short transactions; how many went."""
    async with db.act() as connection:
        newest = (await connection.execute(select(func.max(log_lines.c.id)))).scalar_one()
    if newest is None:
        return 0
    gone = 0
    for condition, bound in (("at < now() - make_interval(days => :bound)", days), ("id <= :bound", newest - kept)):
        for _ in range(CHUNKS_A_RUN):
            dropped = await drop_chunk(db, condition, bound)
            gone += dropped
            if dropped < CHUNK:
                break
    return gone


async def drop_chunk(db: Database, condition: str, bound: int) -> int:
    """Up to CHUNK lines that meet the condition."""
    chosen = f"SELECT id FROM log_lines WHERE {condition} ORDER BY id LIMIT {CHUNK}"
    async with db.act() as connection:
        result = await connection.execute(text(f"DELETE FROM log_lines WHERE id IN ({chosen})"), {"bound": bound})
        return result.rowcount
