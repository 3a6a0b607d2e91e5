"""SQL of API keys, and of keys and sessions as they are checked. Each statement runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.auth.identity import Identity, scopes_of
from server.auth.people_store import IN_FORCE
from server.kernel.bus import CHANNEL
from server.kernel.times import Instant
from server.tables.codec import Rows
from server.tables.people import api_keys, sessions, users


@dataclass(frozen=True, slots=True)
class Credential:
    """A key or a session in force, and until when (Unix seconds; None: until revoked)."""

    digest: bytes
    identity: Identity
    until: float | None


class ApiKey(Struct):
    """A key as it is listed: without the secret, which is not stored."""

    id: int
    name: str
    prefix: str  # its first characters
    scopes: list[str]
    services: list[str]  # that it may send and act for; empty: every
    sampled: float  # the share of requests whose spans its sender sends
    created_by: str
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


KEYS = Rows(api_keys, ApiKey)


async def keys_in_force(connection: AsyncConnection) -> tuple[list[Credential], dict[int, str]]:
    """Every key in force, and the names of those and of the keys that ended in the last day."""
    dead = or_(api_keys.c.revoked_at.is_not(None), func.coalesce(api_keys.c.expires_at <= func.now(), False))
    ended = func.least(api_keys.c.revoked_at, api_keys.c.expires_at)
    recent = func.coalesce(ended > func.now() - text("interval '1 day'"), True)
    rows = await connection.execute(select(api_keys, dead.label("dead")).where(recent))
    credentials: list[Credential] = []
    names: dict[int, str] = {}
    for row in rows:
        names[row.id] = row.name
        if not row.dead:
            identity = Identity(
                "key",
                row.id,
                row.name,
                frozenset(row.scopes),
                services=frozenset(row.services),
                sampled=row.sampled,
            )
            until = row.expires_at.timestamp() if row.expires_at else None
            credentials.append(Credential(row.digest, identity, until))
    return credentials, names


async def sessions_in_force(connection: AsyncConnection, digests: Sequence[bytes]) -> list[Credential]:
    """Those of the given sessions that are in force: not revoked, not expired, the person not disabled."""
    rows = await connection.execute(
        select(
            sessions.c.digest,
            sessions.c.id.label("session"),
            sessions.c.expires_at,
            sessions.c.proved_at,
            users.c.id,
            users.c.email,
            users.c.role,
        )
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.digest.in_(digests), *IN_FORCE, users.c.disabled_at.is_(None))
    )
    return [Credential(row.digest, person_of(row), row.expires_at.timestamp()) for row in rows]


def person_of(row: Any) -> Identity:
    """Who a session is of."""
    return Identity(
        kind="person",
        id=row.id,
        name=row.email,
        scopes=scopes_of(row.role),
        role=row.role,
        session_id=row.session,
        proved_at=row.proved_at.timestamp() if row.proved_at else 0.0,
    )


async def touch_sessions(connection: AsyncConnection, digests: Sequence[bytes]) -> None:
    """Note that they were used, to the minute."""
    await connection.execute(
        update(sessions)
        .where(sessions.c.digest.in_(digests), sessions.c.seen_at < func.now() - text("interval '1 minute'"))
        .values(seen_at=func.now())
    )


async def signal(connection: AsyncConnection, topic: str) -> None:
    """Tell every process, once this transaction commits, to read the topic again."""
    await connection.execute(select(func.pg_notify(CHANNEL, f"{topic} 0")))


async def add_key(connection: AsyncConnection, values: dict[str, Any], lifetime_s: int | None) -> int:
    """A new key's row; its id. The lifetime counts by the database's clock."""
    ends = func.now() + text("make_interval(secs => :lifetime)").bindparams(lifetime=lifetime_s) if lifetime_s else None
    row = await connection.execute(insert(api_keys).values(**values, expires_at=ends).returning(api_keys.c.id))
    return int(row.scalar_one())


async def list_keys(connection: AsyncConnection) -> list[ApiKey]:
    """Every key, the newest first, also those that ended."""
    return KEYS.every(await connection.execute(KEYS.select().order_by(api_keys.c.id.desc())))


async def key_by_id(connection: AsyncConnection, key_id: int) -> ApiKey | None:
    """One key, locked until the transaction ends; None where there is none."""
    return KEYS.one(await connection.execute(KEYS.select().where(api_keys.c.id == key_id).with_for_update()))


async def revoke_key(connection: AsyncConnection, key_id: int) -> datetime:
    """End a key; when."""
    statement = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=func.now())
    row = await connection.execute(statement.returning(api_keys.c.revoked_at))
    revoked_at: datetime = row.scalar_one()
    return revoked_at
