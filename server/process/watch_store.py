"""SQL of the lease and of glances: each statement is its own transaction, so that a frozen holder holds no lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.connection import Connection
from server.kernel.db import plain
from server.tables.processes import lease

TAKEN_OVER_AFTER_S = 3.0


async def take(connection: Connection, process_id: int) -> int | None:
    """Take the lease where nobody has renewed it for 3 s by the database's clock; the new term."""
    await connection.execute("INSERT INTO lease (name) VALUES ('watch') ON CONFLICT DO NOTHING")
    row = await connection.execute(
        """
        UPDATE lease SET process_id = %s, term = term + 1, renewed_at = clock_timestamp()
        WHERE name = 'watch'
            AND (renewed_at IS NULL OR renewed_at < clock_timestamp() - make_interval(secs => %s))
        RETURNING term
        """,
        (process_id, TAKEN_OVER_AFTER_S),
    )
    return _term(await row.fetchone())


async def renew(connection: Connection, process_id: int, term: int) -> bool:
    """Keep the lease; False where somebody else has it."""
    row = await connection.execute(
        """
        UPDATE lease SET renewed_at = clock_timestamp()
        WHERE name = 'watch' AND process_id = %s AND term = %s RETURNING term
        """,
        (process_id, term),
    )
    return _term(await row.fetchone()) == term


async def give_up(connection: Connection, process_id: int, term: int) -> None:
    """Let go, so that the next watch need not wait."""
    await connection.execute(
        "UPDATE lease SET renewed_at = NULL WHERE name = 'watch' AND process_id = %s AND term = %s",
        (process_id, term),
    )


async def term_now(connection: AsyncConnection) -> int | None:
    """The term that the lease is in, within a transaction of somebody's work."""
    return (await connection.execute(select(lease.c.term).where(lease.c.name == "watch"))).scalar_one_or_none()


async def values(connection: Connection, expressions: Iterable[str], given: Mapping[str, object]) -> tuple[Any, ...]:
    """What each expression is now, all of one snapshot."""
    statement = plain("SELECT " + ", ".join(f"({expression})" for expression in expressions))
    row = await (await connection.execute(statement, given)).fetchone()
    assert row is not None, "a SELECT without FROM answers one row"
    return row


def _term(row: tuple[Any, ...] | None) -> int | None:
    return None if row is None else int(row[0])
