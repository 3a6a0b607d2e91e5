"""SQL of people and of their sessions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from server.tables.people import sessions, users

SESSION_DAYS = 30

NOW = func.now()  # the database's clock, as a value to write
IN_FORCE = (sessions.c.revoked_at.is_(None), sessions.c.expires_at > func.now())


async def add(connection: AsyncConnection, email: str, password: str, role: str) -> Any:
    """A new person's row; None where the address is taken."""
    statement = postgresql.insert(users).values(email=email, password=password, role=role)
    row = await connection.execute(statement.on_conflict_do_nothing(index_elements=["email"]).returning(users))
    return row.one_or_none()


async def every(connection: AsyncConnection) -> list[Any]:
    return list(await connection.execute(select(users).order_by(users.c.email)))


async def by_id(connection: AsyncConnection, person_id: int) -> Any:
    row = await connection.execute(select(users).where(users.c.id == person_id))
    return row.one_or_none()


async def by_email(connection: AsyncConnection, email: str) -> Any:
    row = await connection.execute(select(users).where(users.c.email == email))
    return row.one_or_none()


async def count(connection: AsyncConnection) -> int:
    row = await connection.execute(select(func.count()).select_from(users))
    return int(row.scalar_one())


async def other_admins(connection: AsyncConnection, person_id: int) -> int:
    """Administrators who can sign in, without this one."""
    usable = (users.c.role == "admin", users.c.disabled_at.is_(None), users.c.id != person_id)
    row = await connection.execute(select(func.count()).select_from(users).where(*usable))
    return int(row.scalar_one())


async def change(connection: AsyncConnection, person_id: int, **values: Any) -> Any:
    """The person's row after the change."""
    row = await connection.execute(update(users).where(users.c.id == person_id).values(values).returning(users))
    return row.one()


async def add_session(connection: AsyncConnection, digest: bytes, user_id: int, address: str, agent: str) -> int:
    ends = func.now() + text(f"interval '{SESSION_DAYS} days'")
    values = {"digest": digest, "user_id": user_id, "address": address, "agent": agent, "expires_at": ends}
    row = await connection.execute(insert(sessions).values(values).returning(sessions.c.id))
    return int(row.scalar_one())


async def open_sessions(connection: AsyncConnection, user_id: int | None) -> list[Any]:
    """Sessions in force, the last used first; of one person, or of all."""
    columns = (sessions, users.c.email)
    query = select(*columns).join(users, users.c.id == sessions.c.user_id).where(*IN_FORCE)
    if user_id is not None:
        query = query.where(sessions.c.user_id == user_id)
    return list(await connection.execute(query.order_by(sessions.c.seen_at.desc())))


async def session_by_id(connection: AsyncConnection, session_id: int) -> Any:
    """A session in force with its person's address; None where there is none."""
    query = select(sessions, users.c.email).join(users, users.c.id == sessions.c.user_id)
    row = await connection.execute(query.where(sessions.c.id == session_id, *IN_FORCE))
    return row.one_or_none()


async def revoke_sessions(connection: AsyncConnection, *, session_id: int = 0, user_id: int = 0) -> int:
    """End one session, or all of a person; how many ended."""
    whose = sessions.c.id == session_id if session_id else sessions.c.user_id == user_id
    result = await connection.execute(update(sessions).where(whose, *IN_FORCE).values(revoked_at=func.now()))
    return result.rowcount
