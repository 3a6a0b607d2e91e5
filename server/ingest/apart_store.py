"""SQL of marks: which flush of the main database brought which rows of the outcomes' own.

A mark is written with the rows, in one transaction, and names the main database's transaction that counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from server.kernel.connection import Connection

BITE = 5_000  # marks settled at once


async def mark(connection: Connection, counted_in: int, series: Sequence[int], first: int, last: int) -> None:
    """Write the mark of this transaction's rows, of these series and of the seconds first to last."""
    await connection.execute(
        "INSERT INTO flush_marks (counted_in, row_xid, series, first_at, last_at)"
        " VALUES (%s, pg_current_xact_id()::xid::text::bigint, %s, to_timestamp(%s), to_timestamp(%s))",
        (counted_in, list(series), first, last + 1),
    )


async def marks(connection: Connection, older_s: float) -> list[int]:
    """The marks that are so many seconds old, by what they are counted in, the oldest first."""
    found = await connection.execute(
        "SELECT counted_in FROM flush_marks WHERE at < now() - make_interval(secs => %s) ORDER BY at LIMIT %s",
        (older_s, BITE),
    )
    return [int(cast(Any, row)[0]) for row in await found.fetchall()]


async def forget(connection: Connection, counted_in: Sequence[int]) -> None:
    """Their rows are counted."""
    await connection.execute("DELETE FROM flush_marks WHERE counted_in = ANY(%s)", (list(counted_in),))


async def sweep(connection: Connection, counted_in: int) -> int:
    """Delete the rows that nothing counts, and their mark; how many rows."""
    async with connection.transaction():
        found = await connection.execute(
            "WITH gone AS (DELETE FROM flush_marks WHERE counted_in = %s RETURNING *), lines AS ("
            "DELETE FROM service_lines l USING gone"
            " WHERE l.at >= gone.first_at AND l.at < gone.last_at AND l.xmin::text::bigint = gone.row_xid)"
            " DELETE FROM outcomes o USING gone WHERE o.series_id = ANY(gone.series)"
            " AND o.at >= gone.first_at AND o.at < gone.last_at AND o.xmin::text::bigint = gone.row_xid",
            (counted_in,),
        )
        return found.rowcount
