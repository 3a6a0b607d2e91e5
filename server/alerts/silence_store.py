"""SQL of silences."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.alerts.silence import Silence
from server.tables.alerts import silences
from server.tables.codec import Rows

# In place of a service where there are matchers alone: a release that knows no matchers would take none for any.
BY_MATCHERS = "(matchers)"
SERVICE = f"CASE silences.service WHEN '{BY_MATCHERS}' THEN '' ELSE silences.service END"
SILENCES = Rows(silences, Silence, besides={"service": SERVICE})


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


async def add(connection: AsyncConnection, what: Silence, minutes: int) -> Silence:
    """Silence what this one does, by its author and for its reason, for some minutes from now by the database's
    clock."""
    rows = await connection.execute(
        text(
            f"""
            INSERT INTO silences (service, objective, matchers, reason, author, ends_at)
            VALUES (:service, :objective, CAST(:matchers AS jsonb), :reason, :author,
                now() + make_interval(mins => :minutes))
            RETURNING {SILENCES.columns}
            """
        ),
        given(what) | {"reason": what.reason, "minutes": minutes},
    )
    return SILENCES.read(rows.one())


async def add_of_window(connection: AsyncConnection, what: Silence, window: int) -> None:
    """Silence what this one does from now on until it ends, for a maintenance window."""
    statement = """
        INSERT INTO silences (service, objective, matchers, reason, author, ends_at, maintenance_id)
        VALUES (:service, :objective, CAST(:matchers AS jsonb), :reason, :author, to_timestamp(:ends_at), :window)
        """
    values = given(what) | {"reason": what.reason, "ends_at": what.ends_at, "window": window}
    await connection.execute(text(statement), values)


async def move_of_window(connection: AsyncConnection, window: int, ends_at: float) -> None:
    """The silences of a maintenance window that are in force end at another time, Unix seconds."""
    statement = """
        UPDATE silences SET ends_at = to_timestamp(:ends_at)
        WHERE maintenance_id = :window AND ended_at IS NULL AND ends_at > clock_timestamp()
        """
    await connection.execute(text(statement), {"window": window, "ends_at": ends_at})


async def end_of_window(connection: AsyncConnection, window: int, by: str) -> None:
    """End the silences of a maintenance window that are in force."""
    statement = """
        UPDATE silences SET ended_at = clock_timestamp(), ended_by = :by
        WHERE maintenance_id = :window AND ended_at IS NULL AND ends_at > clock_timestamp()
        """
    await connection.execute(text(statement), {"window": window, "by": by})


async def same(connection: AsyncConnection, what: Silence) -> Silence | None:
    """The silence of the same that its author set within the last 10 s: a press repeated.

    Until the transaction ends nobody else adds one, so that two at the same moment are one. No unique index can say
    that: after ten seconds it is another.
    """
    await connection.execute(text("LOCK TABLE silences IN SHARE ROW EXCLUSIVE MODE"))
    rows = await connection.execute(
        text(
            f"""
            SELECT {SILENCES.columns} FROM silences
            WHERE service = :service AND objective = :objective AND matchers = CAST(:matchers AS jsonb)
                AND author = :author AND ended_at IS NULL AND silences.created_at > now() - interval '10 s'
            ORDER BY id DESC LIMIT 1
            """
        ),
        given(what),
    )
    return SILENCES.one(rows)


def given(what: Silence) -> dict[str, Any]:
    """What it matches and whose it is, as statements take it."""
    by_matchers = what.matchers and not what.service and not what.objective
    return {
        "service": BY_MATCHERS if by_matchers else what.service,
        "objective": what.objective,
        "matchers": msgspec.json.encode(what.matchers).decode(),
        "author": what.author,
    }


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


async def elsewhere(connection: AsyncConnection, service: str) -> tuple[bool, bool]:
    """Whether another system has told of trouble of a service, and whether silences are written back to one."""
    rows = await connection.execute(
        text(
            """
            SELECT EXISTS (SELECT FROM signals WHERE service = :service) AS told,
                EXISTS (SELECT FROM alertmanagers WHERE removed_at IS NULL) AS written
            """
        ),
        {"service": service},
    )
    told, written = rows.one()
    return bool(told), bool(written)
