"""The audit: who did what, before and after, with the request that did it.

The table is append-only: a trigger refuses anything but INSERT.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.kernel.times import Instant
from server.tables import people
from server.tables.codec import Rows


class Act(msgspec.Struct):
    """One act. `actor` is an e-mail address, key:NAME, cli:USER@HOST or evenkeel."""

    id: int
    at: Instant
    actor: str
    action: str
    subject: str
    before: Any
    after: Any
    request_id: str


ACTS = Rows(people.audit, Act)


async def audit(  # noqa: PLR0917 - the columns, in their order
    connection: AsyncConnection,
    actor: str,
    action: str,
    subject: str,
    before: Any = None,
    after: Any = None,
    request_id: str = "",
) -> None:
    """Write down an act in the act's own transaction, so that neither is without the other.

    `action` is such as config.change or key.create; `before` and `after` are any
    JSON values without secrets.
    """
    values = {
        "actor": actor,
        "action": action,
        "subject": subject,
        "before": msgspec.to_builtins(before),
        "after": msgspec.to_builtins(after),
        "request_id": request_id,
    }
    await connection.execute(insert(people.audit).values(values))


async def recent_acts(connection: AsyncConnection, limit: int = 100, before: int | None = None) -> list[Act]:
    """The newest acts first; `before` is the id of the last one already seen."""
    newest = ACTS.select().order_by(people.audit.c.id.desc()).limit(limit)
    rows = await connection.execute(newest if before is None else newest.where(people.audit.c.id < before))
    return ACTS.every(rows)
