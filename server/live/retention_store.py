"""SQL of what ages out here, in bites that hold no lock for long."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BITE = 10_000  # rows in one transaction

DELTAS_KEPT_S = 17 * 60  # questions and windows reach back 15 minutes, and to the minute before


class Kept(NamedTuple):
    """A rollup and how long it is kept."""

    table: str
    column: str
    days: int


ROLLUPS = (
    Kept("minute_sketches", "minute", 7),
    Kept("minutes", "minute", 35),
    Kept("hours", "hour", 400),
)


async def drop_deltas(connection: AsyncConnection) -> int:
    """Delete one bite of deltas that are folded, old, and of an old second; how many."""
    done = await connection.execute(
        text(
            """
            DELETE FROM deltas WHERE ctid = ANY (ARRAY(
                SELECT d.ctid FROM deltas d JOIN writers w ON w.id = d.writer_id
                WHERE d.written_at < now() - make_interval(secs => :kept_s)
                    AND d.second < now() - make_interval(secs => :kept_s)
                    AND d.seq <= w.folded_seq
                LIMIT :bite
            ))
            """
        ),
        {"kept_s": DELTAS_KEPT_S, "bite": BITE},
    )
    return done.rowcount


async def drop_rollups(connection: AsyncConnection, kept: Kept) -> int:
    """Delete one bite of a rollup's rows that have aged out; how many."""
    done = await connection.execute(
        text(
            f"""
            DELETE FROM {kept.table} WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM {kept.table}
                WHERE {kept.column} < now() - make_interval(days => :days) LIMIT :bite
            ))
            """
        ),
        {"days": kept.days, "bite": BITE},
    )
    return done.rowcount


async def dead(connection: AsyncConnection) -> set[int]:
    """Processes that have been silent for a day."""
    rows = await connection.execute(text("SELECT id FROM processes WHERE heartbeat_at < now() - interval '1 day'"))
    return {row.id for row in rows}


async def drop_processes(connection: AsyncConnection, ids: list[int]) -> None:
    """Forget processes and their receipts."""
    values = {"ids": ids}
    await connection.execute(text("DELETE FROM receipts WHERE process_id = ANY (CAST(:ids AS bigint[]))"), values)
    await connection.execute(text("DELETE FROM processes WHERE id = ANY (CAST(:ids AS bigint[]))"), values)


async def drop_writers(connection: AsyncConnection) -> None:
    """Forget the cursors of writers whose process is gone and whose deltas have all aged out."""
    await connection.execute(
        text(
            """
            DELETE FROM writers w
            WHERE w.created_at < now() - interval '1 hour'
                AND NOT EXISTS (
                    SELECT 1 FROM processes p WHERE p.id = w.process_id AND p.stopped_at IS NULL
                        AND p.heartbeat_at > now() - interval '1 hour'
                )
                AND NOT EXISTS (SELECT 1 FROM deltas d WHERE d.writer_id = w.id)
            """
        )
    )
