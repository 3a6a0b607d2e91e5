"""SQL of the forecast: how much is stored, since when, and how much came in the last day."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.ingest.partition_store import LINES, OUTCOMES
from server.ingest.partitions import day_of, line_days
from server.kernel.db import AWAY, Database
from server.kernel.settings import Environment
from server.live.retention_store import ROLLUPS, kept_days
from server.process.reserve import reserve_of
from server.process.size_store import TableSize, table_sizes
from server.selfcheck.forecast import Forecast, Stored, a_day

DAY_S = 86_400
EMPTY_BYTES = 64 * 1024  # what a table and its indexes take with their first rows
YOUNGEST_DAYS = 1 / 24  # what is younger says little of a day
APART_S = 1.0  # for the outcomes' own database, without which the others are told
INSTALLED = "SELECT extract(epoch FROM now() - min(at))::float FROM revisions"
PARTS = """
SELECT relname, pg_total_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relname ~ ('^' || :table || '_[0-9]{8}$') AND relnamespace = current_schema()::regnamespace
ORDER BY relname
"""


async def forecast(connection: AsyncConnection, db: Database, env: Environment, now: float) -> Forecast:
    """What is stored and when that is full; `now` in Unix seconds. No table is read: sizes, and the oldest row."""
    installed_days = ((await connection.execute(text(INSTALLED))).scalar_one() or 0.0) / DAY_S
    total = int((await connection.execute(text("SELECT pg_database_size(current_database())"))).scalar_one())
    sizes = {one.name: one for one in await table_sizes(connection)}
    aged = [
        *((table, column, kept_days(table)) for table, column in {one.table: one.column for one in ROLLUPS}.items()),
        ("log_lines", "at", float(env.log_retention_days)),
        ("idempotency", "at", 1.0),
    ]
    stored = await of_days(connection, sizes, env, now, installed_days)
    stored += [await of_table(connection, sizes[table], column, days) for table, column, days in aged if table in sizes]
    stored.sort(key=lambda one: -one.bytes)
    rest = total - sum(one.bytes for one in stored)
    apart = await of_apart(db.apart, env, now, installed_days) if db.apart is not None else None
    return Forecast([*stored, Stored("everything else", max(rest, 0))], room(env, total), apart)


async def of_apart(apart: Database, env: Environment, now: float, installed_days: float) -> Stored | None:
    """Outcomes and log lines in their own database; None while it is away."""
    with contextlib.suppress(*AWAY):
        async with asyncio.timeout(APART_S), apart.ask() as connection:
            sizes = {one.name: one for one in await table_sizes(connection)}
            found, lines = await of_days(connection, sizes, env, now, installed_days)
            return msgspec.structs.replace(
                found,
                what="outcomes in their own database",
                bytes=found.bytes + lines.bytes,
                bytes_a_day=found.bytes_a_day + lines.bytes_a_day,
                empty_bytes=found.empty_bytes + lines.empty_bytes,
            )
    return None


async def of_days(
    connection: AsyncConnection, sizes: Mapping[str, TableSize], env: Environment, now: float, installed_days: float
) -> list[Stored]:
    """Raw outcomes and log lines, of which days are dropped."""
    return [
        await of_partitions(connection, sizes.get(table, TableSize(table, 0, 0, 0)), days, now, installed_days)
        for table, days in ((OUTCOMES, env.outcome_retention_days), (LINES, line_days(env.log_retention_hours)))
    ]


async def of_partitions(
    connection: AsyncConnection, size: TableSize, kept_days: int, now: float, installed_days: float
) -> Stored:
    """A partitioned table, by the sizes of its days."""
    found = await connection.execute(text(PARTS), {"table": size.name})
    days = {day_of(name): int(of_day) for name, of_day in found}
    today = datetime.fromtimestamp(now, UTC).date()
    least = min(days.values(), default=0)  # of a day without any
    held = {day: of_day - least for day, of_day in days.items() if day is not None and day <= today and of_day > least}
    gone = now % DAY_S / DAY_S
    age = (today - min(held)).days + gone if held else 0.0
    young = min(age, installed_days) if age <= 1 else age
    rate = a_day(held.get(today, 0), held.get(today - timedelta(days=1), 0), gone, young)
    return Stored(size.name.replace("_", " "), size.bytes, rate, float(kept_days), age, least * len(days))


async def of_table(connection: AsyncConnection, size: TableSize, column: str, days: float) -> Stored:
    """A table of which rows age out, by the age of its oldest, which an index knows."""
    oldest = f"SELECT extract(epoch FROM now() - min({column}))::float FROM {size.name}"
    age_s = (await connection.execute(text(oldest))).scalar_one()
    name = size.name.replace("_", " ")
    if age_s is None:
        return Stored(name, size.bytes, kept_days=days, empty_bytes=size.bytes)
    age = max(age_s / DAY_S, 0.0)
    empty = min(size.bytes, EMPTY_BYTES)
    written = min(max(age, YOUNGEST_DAYS), days)  # beyond it as much goes as comes
    return Stored(name, size.bytes, (size.bytes - empty) / written, days, age, empty)


def room(env: Environment, database_bytes: int) -> int | None:
    """What the database may come to: as its plan says, or with the disk where it is ours; None: not known."""
    if env.database_max_bytes:
        return env.database_max_bytes
    if reserve_of(env).path is not None and env.data_dir.is_dir():
        return database_bytes + shutil.disk_usage(env.data_dir).free
    return None
