"""Overrides: lift a deny for some minutes with a reason, and revoke that.

Each is one transaction: the override, the audit entry and the change are stored together or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from server.auth.audit_store import audit
from server.changes import store as changes
from server.gate import store
from server.gate.answer import NOUNS, Override
from server.gate.asking import require_known
from server.kernel.errors import ApiError
from server.kernel.text import ago, checked_reason, clock, span
from server.slo.model.budget_policy import ChangeKind

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.identity import Identity
    from server.parts import Parts

MINUTES_MAX = 1440
REPEATED_S = 60.0  # an override that ends so much sooner than a new one would is the same press once more


class OverrideAsked(Struct, forbid_unknown_fields=True):
    """Changes of the kind may go out to the service for `minutes`, whatever the gate says of it."""

    service: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: ChangeKind
    reason: str
    minutes: Annotated[int, Meta(ge=1, le=MINUTES_MAX)] = 60


class Overridden(Struct):
    """The override. With `already`, it was found done and nothing was changed."""

    override: Override
    already: bool
    message: str


async def override(parts: Parts, identity: Identity, asked: OverrideAsked, request_id: str) -> Overridden:
    """Lift the gate. A repeated press answers who did it. Raises ApiError INVALID, NOT_FOUND."""
    reason = checked_reason(asked.reason)
    async with parts.db.act() as connection:
        await require_known(parts, connection, asked.service)
        await store.lock(connection)
        now = await store.now(connection)
        last = next(iter(await store.active(connection, asked.service, asked.kind)), None)
        if last is not None and (last.expires_at - now).total_seconds() >= asked.minutes * 60 - REPEATED_S:
            return already(last, now)
        made = await store.add(
            connection, asked.service, asked.kind, reason=reason, author=identity.actor, minutes=asked.minutes
        )
        await write_audit(connection, made, "gate.override", identity.actor, request_id)
        summary = f"gate lifted for {NOUNS[made.kind]}, for {span(asked.minutes * 60)}"
        await record_change(connection, made, summary, identity.actor, revoked=False)
    return Overridden(made, already=False, message=f"{summary[0].upper()}{summary[1:]}.")


def already(last: Override, now: datetime) -> Overridden:
    """The answer to a repeated press."""
    done = f"Already overridden by {last.author}, {ago((now - last.created_at).total_seconds())}"
    return Overridden(last, already=True, message=f"{done}, until {clock(last.expires_at)}. Nothing was changed.")


async def revoke(parts: Parts, identity: Identity, override_id: int, request_id: str) -> Overridden:
    """Let the gate hold again. Raises ApiError NOT_FOUND."""
    async with parts.db.act() as connection:
        await store.lock(connection)
        found, now = await store.numbered(connection, override_id), await store.now(connection)
        if found is None:
            raise ApiError("NOT_FOUND", f"There is no override {override_id}; GET /api/v1/gate/overrides lists them.")
        if found.revoked_at is not None:
            when = ago((now - found.revoked_at).total_seconds())
            return Overridden(found, already=True, message=f"Already revoked by {found.revoked_by}, {when}.")
        if found.expires_at <= now:
            message = f"It ended by itself at {clock(found.expires_at)}; there is nothing to revoke."
            return Overridden(found, already=True, message=message)
        gone = await store.revoke(connection, override_id, identity.actor)
        await write_audit(connection, gone, "gate.revoke", identity.actor, request_id)
        await record_change(connection, gone, f"gate holds {NOUNS[gone.kind]} again", identity.actor, revoked=True)
    return Overridden(gone, already=False, message=f"The gate holds {NOUNS[gone.kind]} of {gone.service} again.")


async def record_change(connection: AsyncConnection, one: Override, summary: str, actor: str, *, revoked: bool) -> None:
    """Record the override or its end as a change."""
    detail = {"override": one.id, "kind": one.kind, "reason": one.reason, "revoked": revoked}
    await changes.record(connection, "override", one.service, "", summary, author=actor, detail=detail)


async def write_audit(connection: AsyncConnection, one: Override, action: str, actor: str, request_id: str) -> None:
    """Write the audit entry, in the same transaction."""
    subject = f"override {one.id}"
    await audit(connection, actor, action, subject, None, msgspec.to_builtins(one, builtin_types=()), request_id)
