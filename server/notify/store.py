"""SQL of targets, and of how they fare."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import Instant
from server.notify.target import Target
from server.process.process_store import RUNNING
from server.tables.alerts import targets
from server.tables.codec import Rows

TARGETS = Rows(targets, Target)


class Faring(msgspec.Struct):
    """How a target fares. Ages and times are by the database's clock."""

    id: int
    name: str
    kind: str
    address: str
    step: int
    inbound: bool  # whether PagerDuty's webhooks can be verified
    created_by: str
    created_at: Instant
    sent_at: Instant | None  # the last that arrived
    failing_since: Instant | None  # the oldest that was tried and has not arrived
    failing_s: float | None
    waiting: int  # not arrived yet
    gave_up_at: Instant | None  # the last one, where nothing has arrived since
    last_error: str


FARING = text("""
    SELECT t.id, t.name, t.kind, t.address, t.step, t.inbound_secret <> '' AS inbound, t.created_by, t.created_at,
           n.sent_at, n.failing_since, extract(epoch FROM now() - n.failing_since)::float AS failing_s,
           coalesce(n.waiting, 0)::int AS waiting,
           CASE WHEN n.gave_up_at > coalesce(n.sent_at, '-infinity') THEN n.gave_up_at END AS gave_up_at,
           CASE WHEN n.failing_since IS NOT NULL OR n.gave_up_at > coalesce(n.sent_at, '-infinity')
                THEN coalesce((SELECT last_error FROM notifications
                               WHERE target_id = t.id AND sent_at IS NULL AND last_error <> ''
                               ORDER BY gave_up_at IS NULL DESC, id DESC LIMIT 1), '')
                ELSE '' END AS last_error
    FROM targets t LEFT JOIN LATERAL (
        SELECT max(sent_at) AS sent_at, max(gave_up_at) AS gave_up_at,
               min(created_at) FILTER (WHERE sent_at IS NULL AND gave_up_at IS NULL AND last_error <> '')
                   AS failing_since,
               count(*) FILTER (WHERE sent_at IS NULL AND gave_up_at IS NULL) AS waiting
        FROM notifications WHERE target_id = t.id
    ) n ON true
    WHERE t.removed_at IS NULL
    ORDER BY t.step, t.name, t.id
    """)


async def faring(connection: AsyncConnection) -> list[Faring]:
    """Every target, in the order in which they are told."""
    return [msgspec.convert(row, Faring, from_attributes=True) for row in await connection.execute(FARING)]


async def every(connection: AsyncConnection) -> list[Target]:
    """Every target with its secrets."""
    found = TARGETS.select().where(targets.c.removed_at.is_(None)).order_by(targets.c.id)
    return TARGETS.every(await connection.execute(found))


async def one(connection: AsyncConnection, target_id: int, *, lock: bool = False) -> Target | None:
    """One target, with `lock` until the transaction ends; None where there is none or it was removed."""
    found = TARGETS.select().where(targets.c.id == target_id, targets.c.removed_at.is_(None))
    return TARGETS.one(await connection.execute(found.with_for_update() if lock else found))


async def removed(connection: AsyncConnection, target_id: int) -> Any:
    """The name, and when it was removed, of a target that was; None for any other."""
    found = select(targets.c.name, targets.c.removed_at).where(
        targets.c.id == target_id, targets.c.removed_at.is_not(None)
    )
    return (await connection.execute(found)).one_or_none()


async def add(connection: AsyncConnection, values: dict[str, Any]) -> int | None:
    """A new target; its id, None where another has its name."""
    added = insert(targets).values(values).on_conflict_do_nothing().returning(targets.c.id)
    found: int | None = (await connection.execute(added)).scalar_one_or_none()
    return found


async def remove(connection: AsyncConnection, target_id: int) -> None:
    """Take it away, secrets and all; what has not arrived is not tried again."""
    gone = {"removed_at": func.now(), "secret": "", "inbound_secret": ""}
    await connection.execute(update(targets).where(targets.c.id == target_id).values(gone))
    statement = text("""
        UPDATE notifications SET gave_up_at = now(), last_error = 'the target was removed'
        WHERE target_id = :id AND sent_at IS NULL AND gave_up_at IS NULL
        """)
    await connection.execute(statement, {"id": target_id})


async def set_secrets(connection: AsyncConnection, target_id: int, values: dict[str, str]) -> None:
    """Store `secret`, `inbound_secret` or both, sealed."""
    await connection.execute(update(targets).where(targets.c.id == target_id).values(values))


async def plain(connection: AsyncConnection, version: str) -> list[Target]:
    """Targets with a secret that is not sealed, locked; none while a process of another version runs, or before
    the schema whose downgrade opens them."""
    query = text(f"""
        SELECT {TARGETS.of("t")} FROM targets t
        WHERE t.removed_at IS NULL
          AND (t.secret NOT SIMILAR TO '|sealed1:%' OR t.inbound_secret NOT SIMILAR TO '|sealed1:%')
          AND NOT EXISTS (SELECT FROM processes WHERE {RUNNING} AND version <> :version
                          AND heartbeat_at > clock_timestamp() - interval '1 minute')
          AND EXISTS (SELECT FROM alembic_version WHERE version_num >= '0011')
        ORDER BY t.id FOR UPDATE OF t
        """)
    return TARGETS.every(await connection.execute(query, {"version": version}))
