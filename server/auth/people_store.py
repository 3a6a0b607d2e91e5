"""SQL of people and of their sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from server.tables.codec import Rows
from server.tables.people import sessions, users

SESSION_DAYS = 30


class Person(Struct):
    """A person as listed; without the password."""

    id: int
    email: str
    role: str
    created_at: datetime
    disabled_at: datetime | None


class Session(Struct):
    """A session in force as listed; without its token, which is not stored."""

    id: int
    user_id: int
    email: str
    created_at: datetime
    seen_at: datetime  # to the minute
    expires_at: datetime
    agent: str
    address: str


PEOPLE = Rows(users, Person)
SESSIONS = Rows(
    sessions, Session, {"email": "coalesce((SELECT email FROM users WHERE users.id = sessions.user_id), '')"}
)
NOW = func.now()  # the database's clock, as a value to write
IN_FORCE = (sessions.c.revoked_at.is_(None), sessions.c.expires_at > func.now())


async def add(connection: AsyncConnection, email: str, password: str, role: str) -> Person | None:
    """A new person; None where the address is taken."""
    statement = postgresql.insert(users).values(email=email, password=password, role=role)
    added = statement.on_conflict_do_nothing(index_elements=["email"]).returning(*PEOPLE.selected)
    return PEOPLE.one(await connection.execute(added))


async def list_people(connection: AsyncConnection) -> list[Person]:
    """Everybody by address, also those disabled."""
    return PEOPLE.every(await connection.execute(PEOPLE.select().order_by(users.c.email)))


async def by_id(connection: AsyncConnection, person_id: int) -> Person | None:
    return PEOPLE.one(await connection.execute(PEOPLE.select().where(users.c.id == person_id)))


async def by_email(connection: AsyncConnection, email: str) -> Any:
    """The whole row of a person, with the hash of the password; None where there is none."""
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


async def change(connection: AsyncConnection, person_id: int, **values: Any) -> Person:
    """The person after the change."""
    changed = update(users).where(users.c.id == person_id).values(values).returning(*PEOPLE.selected)
    return PEOPLE.read((await connection.execute(changed)).one())


async def add_session(connection: AsyncConnection, digest: bytes, user_id: int, address: str, agent: str) -> int:
    ends = func.now() + text(f"interval '{SESSION_DAYS} days'")
    values = {"digest": digest, "user_id": user_id, "address": address, "agent": agent, "expires_at": ends}
    row = await connection.execute(insert(sessions).values(values).returning(sessions.c.id))
    return int(row.scalar_one())


async def list_sessions(connection: AsyncConnection, user_id: int | None = None) -> list[Session]:
    """Sessions in force, the last used first; of one person, or of all."""
    query = SESSIONS.select().where(*IN_FORCE)
    if user_id is not None:
        query = query.where(sessions.c.user_id == user_id)
    return SESSIONS.every(await connection.execute(query.order_by(sessions.c.seen_at.desc())))


async def session_by_id(connection: AsyncConnection, session_id: int) -> Session | None:
    """A session in force; None where there is none."""
    return SESSIONS.one(await connection.execute(SESSIONS.select().where(sessions.c.id == session_id, *IN_FORCE)))


async def revoke_sessions(connection: AsyncConnection, *, session_id: int = 0, user_id: int = 0) -> int:
    """End one session, or all of a person; how many ended."""
    whose = sessions.c.id == session_id if session_id else sessions.c.user_id == user_id
    result = await connection.execute(update(sessions).where(whose, *IN_FORCE).values(revoked_at=func.now()))
    return result.rowcount
