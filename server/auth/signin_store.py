"""SQL of signing in: failures counted for all processes, and links for the first administrator."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.db import Database
from server.tables.people import sessions, signin_failures, signin_links, users

WINDOW_S = 900.0  # older failures are forgotten

PEOPLE_LOCK = 7_301_990_001  # advisory: who makes, disables or demotes people does so alone


async def alone_on(connection: AsyncConnection, subjects: Sequence[str]) -> None:
    """Hold each subject until the transaction ends; taken in one order, so that no two wait for each other."""
    for subject in sorted(subjects):
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(subject, 0))))


async def alone_on_people(connection: AsyncConnection) -> None:
    await connection.execute(select(func.pg_advisory_xact_lock(PEOPLE_LOCK)))


async def failures(connection: AsyncConnection, subject: str) -> tuple[list[float], float]:
    """When the subject failed within the window, and now: Unix seconds by the database's clock."""
    # The newest hundred are enough: the wait has long been the longest by then.
    rows = await connection.execute(
        select(func.extract("epoch", signin_failures.c.at))
        .where(signin_failures.c.subject == subject, signin_failures.c.at > func.now() - seconds(WINDOW_S))
        .order_by(signin_failures.c.at.desc())
        .limit(100)
    )
    now = await connection.execute(select(func.extract("epoch", func.clock_timestamp())))
    return [float(at) for (at,) in rows], float(now.scalar_one())


async def add_failures(connection: AsyncConnection, subjects: Sequence[str]) -> list[int]:
    """Count one failure for each subject; the rows' ids in the same order."""
    rows = [{"subject": subject, "at": func.clock_timestamp()} for subject in subjects]
    ids: list[int] = []
    for row in rows:
        added = await connection.execute(insert(signin_failures).values(row).returning(signin_failures.c.id))
        ids.append(int(added.scalar_one()))
    return ids


async def clear_failures(connection: AsyncConnection, account: str, attempt: Sequence[int]) -> None:
    """After the right password: delete the account's failures, and of the address's the one just counted."""
    await connection.execute(delete(signin_failures).where(signin_failures.c.subject == account))
    await drop_failures(connection, attempt)


async def drop_failures(connection: AsyncConnection, attempt: Sequence[int]) -> None:
    """Delete the rows of one attempt that was no failure."""
    await connection.execute(delete(signin_failures).where(signin_failures.c.id.in_(attempt)))


async def known_address(connection: AsyncConnection, email: str, address: str) -> bool:
    """Whether this person signed in from this address before."""
    found = await connection.execute(
        select(sessions.c.id)
        .join(users, users.c.id == sessions.c.user_id)
        .where(users.c.email == email, sessions.c.address == address)
        .limit(1)
    )
    return found.first() is not None


async def add_link(connection: AsyncConnection, digest: bytes, role: str, lifetime_s: int) -> None:
    values = {"digest": digest, "role": role, "expires_at": func.now() + seconds(lifetime_s)}
    await connection.execute(insert(signin_links).values(values))


async def link_role(connection: AsyncConnection, digest: bytes) -> str | None:
    """The role that an unused link gives; None: it was used, has expired or never was."""
    role = await connection.execute(
        select(signin_links.c.role).where(
            signin_links.c.digest == digest,
            signin_links.c.used_at.is_(None),
            signin_links.c.expires_at > func.now(),
        )
    )
    found: str | None = role.scalar_one_or_none()
    return found


async def use_link(connection: AsyncConnection, digest: bytes) -> None:
    await connection.execute(update(signin_links).where(signin_links.c.digest == digest).values(used_at=func.now()))


async def forget_old(db: Database) -> None:
    """Drop what has no more use: old failures, expired links, sessions that ended 30 days ago."""
    month = text("interval '30 days'")
    ended = func.least(sessions.c.revoked_at, sessions.c.expires_at)
    async with db.act() as connection:
        await connection.execute(delete(signin_failures).where(signin_failures.c.at < func.now() - seconds(WINDOW_S)))
        await connection.execute(delete(signin_links).where(signin_links.c.expires_at < func.now()))
        await connection.execute(delete(sessions).where(ended < func.now() - month))


def seconds(number: float) -> object:
    return func.make_interval(0, 0, 0, 0, 0, 0, number)
