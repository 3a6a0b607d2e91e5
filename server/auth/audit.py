"""The audit: who did what, before and after, with the request that did it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from server.auth import audit_store
from server.kernel.times import Instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


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
    await audit_store.add(connection, values)


async def recent_acts(connection: AsyncConnection, limit: int = 100, before: int | None = None) -> list[Act]:
    """The newest acts first; `before` is the id of the last one already seen."""
    rows = await audit_store.recent(connection, limit, before)
    return [msgspec.convert(row, Act, from_attributes=True) for row in rows]
