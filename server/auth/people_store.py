"""SQL of people and of their sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Text, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from server.tables import metadata
from server.tables.codec import Rows
from server.tables.people import recovery_codes, sessions, signin_failures, users

SESSION_DAYS = 30
IDLE_DAYS = 3  # a session that nobody used for so long has ended: a weekend, not a holiday


class Person(Struct):
    """A person as listed; without the password."""

    id: int
    email: str
    role: str
    created_at: datetime
    disabled_at: datetime | None
    codes: bool  # whether signing in takes a code


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


PEOPLE = Rows(users, Person, {"codes": "users.totp_secret IS NOT NULL"})
SESSIONS = Rows(
    sessions, Session, {"email": "coalesce((SELECT email FROM users WHERE users.id = sessions.user_id), '')"}
)
NOW = func.now()  # the database's clock, as a value to write
IN_FORCE = (
    sessions.c.revoked_at.is_(None),
    sessions.c.expires_at > func.now(),
    sessions.c.seen_at > func.now() - text(f"interval '{IDLE_DAYS} days'"),
)


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
    values = {
        "digest": digest,
        "user_id": user_id,
        "address": address,
        "agent": agent,
        "expires_at": ends,
        "proved_at": NOW,
    }
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


async def session_proved(connection: AsyncConnection, session_id: int) -> None:
    """The password was given in it just now."""
    await connection.execute(update(sessions).where(sessions.c.id == session_id).values(proved_at=NOW))


async def revoke_other_sessions(connection: AsyncConnection, user_id: int, kept: int) -> int:
    """End all sessions of a person but one; how many ended."""
    others = update(sessions).where(sessions.c.user_id == user_id, sessions.c.id != kept, *IN_FORCE)
    return (await connection.execute(others.values(revoked_at=NOW))).rowcount


async def row_by_id(connection: AsyncConnection, person_id: int) -> Any:
    """The whole row of a person; None where there is none."""
    return (await connection.execute(select(users).where(users.c.id == person_id))).one_or_none()


async def use_step(connection: AsyncConnection, person_id: int, step: int) -> bool:
    """Use the code of a step up; False where it, or a later one, was used meanwhile."""
    used = update(users).where(users.c.id == person_id, users.c.totp_step < step).values(totp_step=step)
    return (await connection.execute(used)).rowcount == 1


async def use_recovery_code(connection: AsyncConnection, person_id: int, digest: bytes) -> bool:
    """Use a recovery code up; False where there is none like it."""
    mine = (recovery_codes.c.user_id == person_id, recovery_codes.c.digest == digest)
    return (await connection.execute(delete(recovery_codes).where(*mine))).rowcount == 1


async def sealed_codes(connection: AsyncConnection) -> list[tuple[str, str]]:
    """The address and the sealed secret of everybody who uses codes."""
    found = select(users.c.email, users.c.totp_secret).where(users.c.totp_secret.is_not(None)).order_by(users.c.email)
    return [(row.email, row.totp_secret) for row in await connection.execute(found)]


async def replace_recovery_codes(connection: AsyncConnection, person_id: int, digests: Sequence[bytes]) -> None:
    await connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == person_id))
    if digests:
        rows = [{"user_id": person_id, "digest": digest} for digest in digests]
        await connection.execute(insert(recovery_codes).values(rows))


async def recovery_codes_left(connection: AsyncConnection, person_id: int) -> int:
    mine = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == person_id)
    return int((await connection.execute(mine)).scalar_one())


# Where people are named. An address of a target is where alerts go, not who does something.
NAMED_IN = (
    "alert_events", "alert_outages", "alertmanagers", "alerts", "api_keys", "audit", "changes", "deploy_acts",
    "deploy_targets", "exclusions", "flag_sources", "gate_overrides", "hooks", "incident_entries", "incident_roles",
    "incident_steps", "incident_tasks", "incident_viewers", "incidents", "maintenance_windows", "notifications",
    "preventive_actions", "revisions", "rollouts", "route_patterns", "signals", "silences", "targets",
)  # fmt: skip
NOT_PEOPLE = ("address", "secret", "inbound_secret")


async def erase(connection: AsyncConnection, person_id: int, email: str) -> None:
    """Forget somebody: the row, sessions and codes; wherever the address stood, the audit too, stands person:ID."""
    for table in (recovery_codes, sessions):
        await connection.execute(delete(table).where(table.c.user_id == person_id))
    await connection.execute(delete(users).where(users.c.id == person_id))
    await connection.execute(delete(signin_failures).where(signin_failures.c.subject.contains(email, autoescape=True)))
    given = {"address": email, "id": f"person:{person_id}"}
    settings = "SELECT set_config('evenkeel.erased', :address, true), set_config('evenkeel.erased_as', :id, true)"
    await connection.execute(text(settings), given)
    for name in NAMED_IN:
        columns = [
            c for c in metadata.tables[name].columns if isinstance(c.type, Text | JSONB) and c.name not in NOT_PEOPLE
        ]
        changed = ", ".join(
            f'"{c.name}" = without_address("{c.name}"::text, :address, :id)' + ("::jsonb" * isinstance(c.type, JSONB))
            for c in columns
        )
        found = " OR ".join(f'strpos("{c.name}"::text, :address) > 0' for c in columns)
        await connection.execute(text(f"UPDATE {name} SET {changed} WHERE {found}"), given)
