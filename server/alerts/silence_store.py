"""SQL of silences."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.silence import Silence
from server.tables.alerts import silences
from server.tables.codec import Rows

SILENCES = Rows(silences, Silence)


async def active(connection: AsyncConnection, now: float) -> list[Silence]:
    """The silences in force at a time, the one that ends first first."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {SILENCES.columns} FROM silences WHERE ends_at > to_timestamp(:now) AND ended_at IS NULL
            ORDER BY silences.ends_at, id
            """
        ),
        {"now": now},
    )
    return SILENCES.every(rows)


async def past(connection: AsyncConnection, now: float, limit: int) -> list[Silence]:
    """The newest silences that have ended."""
    rows = await connection.execute(
        text(
            f"""
            SELECT {SILENCES.columns} FROM silences WHERE ends_at <= to_timestamp(:now) OR ended_at IS NOT NULL
            ORDER BY id DESC LIMIT :limit
            """
        ),
        {"now": now, "limit": limit},
    )
    return SILENCES.every(rows)


async def add(
    connection: AsyncConnection, *, service: str, objective: str, reason: str, author: str, minutes: int
) -> Silence:
    """Silence for some minutes from now, by the database's clock."""
    rows = await connection.execute(
        text(
            f"""
            INSERT INTO silences (service, objective, reason, author, ends_at)
            VALUES (:service, :objective, :reason, :author, now() + make_interval(mins => :minutes))
            RETURNING {SILENCES.columns}
            """
        ),
        {"service": service, "objective": objective, "reason": reason, "author": author, "minutes": minutes},
    )
    return SILENCES.read(rows.one())


async def same(connection: AsyncConnection, service: str, objective: str, author: str) -> Silence | None:
    """The silence of the same matcher that somebody set within the last 10 s: a press repeated.

    Until the transaction ends nobody else adds one, so that two at the same moment are one. No unique index can say
    that: after ten seconds it is another.
    """
    await connection.execute(text("LOCK TABLE silences IN SHARE ROW EXCLUSIVE MODE"))
    rows = await connection.execute(
        text(
            f"""
            SELECT {SILENCES.columns} FROM silences
            WHERE service = :service AND objective = :objective AND author = :author
                AND ended_at IS NULL AND silences.created_at > now() - interval '10 s' ORDER BY id DESC LIMIT 1
            """
        ),
        {"service": service, "objective": objective, "author": author},
    )
    return SILENCES.one(rows)


async def end(connection: AsyncConnection, silence_id: int, by: str) -> bool:
    """End a silence that is in force."""
    done = await connection.execute(
        text(
            """
            UPDATE silences SET ended_at = clock_timestamp(), ended_by = :by
            WHERE id = :id AND ended_at IS NULL AND ends_at > clock_timestamp()
            """
        ),
        {"id": silence_id, "by": by},
    )
    return done.rowcount == 1


async def one(connection: AsyncConnection, silence_id: int) -> Silence | None:
    """A silence, in force or not."""
    rows = await connection.execute(text(f"SELECT {SILENCES.columns} FROM silences WHERE id = :id"), {"id": silence_id})
    return SILENCES.one(rows)
