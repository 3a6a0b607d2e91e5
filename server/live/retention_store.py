"""What ages out here: deltas, rollups, processes that are long gone. Deleted in bites that hold no lock for long."""

from __future__ import annotations

import functools
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.live import fold_store

DAY_S = 86_400
BITE = 10_000  # rows in one transaction

DELTAS_KEPT_S = 17 * 60  # questions and windows reach back 15 minutes, and to the minute before


class Rollup(NamedTuple):
    """A rollup and how long it is kept."""

    table: str
    column: str
    days: int
    spans: tuple[int, ...] = ()  # seconds a row: only those of such rows; empty: all

    @property
    def only(self) -> str:
        """The condition of its rows."""
        return f"span_s IN ({', '.join(map(str, self.spans))})" if self.spans else "true"


ROLLUPS = (
    Rollup("minute_sketches", "minute", 7),
    Rollup("minutes", "minute", 35),
    Rollup("hours", "hour", 400),
    Rollup("service_rollups", "at", 7, (60, 600)),
    Rollup("service_rollups", "at", 400, (3600, 43_200)),
)


def kept_days(table: str) -> float:
    """How long a rollup's rows are kept, on average over those of one day."""
    parts = [(one.days, sum(DAY_S / span for span in one.spans) or 1.0) for one in ROLLUPS if one.table == table]
    return sum(days * rows for days, rows in parts) / sum(rows for _, rows in parts)


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


async def drop_rollups(connection: AsyncConnection, rollup: Rollup) -> int:
    """Delete one bite of a rollup's rows that have aged out; how many."""
    done = await connection.execute(
        text(
            f"""
            DELETE FROM {rollup.table} WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM {rollup.table}
                WHERE {rollup.column} < now() - make_interval(days => :days) AND {rollup.only} LIMIT :bite
            ))
            """
        ),
        {"days": rollup.days, "bite": BITE},
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


class Retention:
    """Jobs of the watch; what they do is right in any term, so they do not ask for it."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._dead: set[int] = set()  # processes that were already dead at the last run

    async def forget_old_deltas(self, term: int) -> None:
        """Drop the deltas that nothing needs any more; give a cursor to writers that have lost theirs."""
        async with self.db.act() as connection:
            await fold_store.adopt(connection)
        await self.db.in_bites(drop_deltas, BITE)

    async def forget_old_rollups(self, term: int) -> None:
        """Drop rollups that have aged out, and processes that are long gone."""
        for rollup in ROLLUPS:
            await self.db.in_bites(functools.partial(drop_rollups, rollup=rollup), BITE)
        async with self.db.act() as connection:
            gone = await dead(connection)
            # Twice in a row: a laptop that wakes up finds everybody dead, for a second.
            await drop_processes(connection, sorted(gone & self._dead))
            await drop_writers(connection)
        self._dead = gone
