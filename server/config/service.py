"""Acts on the settings: change, roll back, extend.

Each is one transaction: the revision, the audit entry and the change are stored
together or not at all. The signal goes out after the commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.config import store
from server.config.asked import checked_minutes, checked_reason, checked_values
from server.config.registry import SETTINGS, Value
from server.config.revisions import (
    ALL,
    changed,
    done_before,
    extended,
    key_id_of,
    restored,
    temporary,
    unexpired,
)
from server.config.saving import Act, Saved, clock, lost_race
from server.errors import ApiError, invalid
from server.times import utc

if TYPE_CHECKING:
    from server.auth.identity import Identity
    from server.parts import Parts


@asynccontextmanager
async def acting(parts: Parts, identity: Identity, request_id: str) -> AsyncIterator[Act]:
    """One act, alone: nobody else changes the settings meanwhile. What it saved is signalled after the commit."""
    async with parts.db.act() as connection:
        await store.lock(connection)
        current, now = await store.current(connection)
        act = Act(connection, parts.rollout.environment, identity.actor, request_id, now, current)
        yield act
    if act.saved is not None:
        parts.rollout.signal(act.saved.number)
        await parts.bus.publish("config", act.saved.number)


async def change(
    parts: Parts,
    identity: Identity,
    *,
    expected: int,
    values: Mapping[str, Value | None],
    scope: str = ALL,
    minutes: int | None = None,
    reason: str,
    request_id: str,
) -> Saved:
    """Give settings values, for `minutes` or to be kept, where revision `expected` is still in force.

    Raises ApiError REVISION_CHANGED (a lost race: who saved what), INVALID.
    """
    checked_values(values, minutes)
    checked_minutes(minutes)
    reason = checked_reason(reason)
    key_id = key_id_of(scope)
    async with acting(parts, identity, request_id) as act:
        if expected != act.current.number:
            raise await lost_race(act, expected)
        if key_id:
            await check_key(act, scope)
        until = None if minutes is None else act.now + minutes * 60
        entries = changed(unexpired(act.current.entries, act.now), values, scope, until)
        if entries == act.current.entries:
            return await act.nothing_to_do("These values are in force already; nothing was changed.")
        return await act.save(entries, kind="change", reason=reason, action="config.change")


async def check_key(act: Act, scope: str) -> None:
    """ApiError INVALID naming the keys there are, where the scope's key cannot send anything."""
    keys = dict(await store.usable_keys(act.connection, only=key_id_of(scope)))
    if not keys:
        known = ", ".join(f"key:{key_id} ({name})" for key_id, name in await store.usable_keys(act.connection))
        raise invalid("scope", f"{scope} is not a key in use; there are {known or 'none'}. Nothing was saved.")


async def rollback(
    parts: Parts,
    identity: Identity,
    *,
    from_: int | None = None,
    to: int | None = None,
    reason: str = "",
    request_id: str,
) -> Saved:
    """Bring the values of revision `to` back as a new revision; what has ended by itself stays ended.

    `from_` is the revision that the caller saw in force. A rollback that was done
    before answers who did it and when, and changes nothing. Raises ApiError
    ROLLBACK_AMBIGUOUS, CONFLICT (somebody saved another one meanwhile), INVALID.
    """
    reason = checked_reason(reason, required=False)
    async with acting(parts, identity, request_id) as act:
        seen = act.current.number if from_ is None else from_
        if not 1 <= seen <= act.current.number:
            raise invalid("from", f"there is no revision {seen}; {act.current.number} is in force")
        base = await store.act_up_to(act.connection, seen)
        number = restored(base, to, act.current.number)
        later = await store.acts_after(act.connection, seen)
        if done_before(later[0] if later else None, number):
            return await act.done_before(later[0])
        if later:
            raise await lost_race(act, seen, "CONFLICT")
        target = await store.numbered(act.connection, number)
        entries = unexpired(target.entries, act.now)
        if entries == unexpired(act.current.entries, act.now):
            return await act.done_before(base) if done_before(base, number) else await act.same_values(number)
        reason = reason or f"back to the values of revision {number}"
        return await act.save(entries, kind="rollback", restores=number, reason=reason, action="config.rollback")


async def extend(
    parts: Parts, identity: Identity, *, setting: str, scope: str, until: float, minutes: int, request_id: str
) -> Saved:
    """Let a temporary value last `minutes` longer than `until`, the end that the caller saw.

    A repeat finds another end and changes nothing. Raises ApiError CONFLICT where
    the value has ended, INVALID.
    """
    checked_minutes(minutes)
    if setting not in SETTINGS:
        raise invalid("setting", f"settings are {', '.join(SETTINGS)}")
    key_id_of(scope)
    async with acting(parts, identity, request_id) as act:
        entry = temporary(act.current.entries, setting, scope)
        title = SETTINGS[setting].title
        if entry is None or entry.until is None:
            raise ApiError("CONFLICT", f"The temporary value of {title} has ended. Nothing was changed; set it again.")
        if abs(entry.until - until) > 1:
            return await act.nothing_to_do(f"Already extended to {clock(utc(entry.until))}; nothing was changed.")
        entries = extended(act.current.entries, entry, minutes * 60)
        scope_words = "" if scope == ALL else f" for {scope}"
        reason = f"{title}{scope_words} extended by {minutes} min"
        return await act.save(entries, kind="change", reason=reason, action="config.extend")
