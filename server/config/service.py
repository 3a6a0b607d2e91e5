"""Acts on the settings: change, roll back, extend.

Each is one transaction: the revision, the audit entry and the change are stored
together or not at all. The signal goes out after the commit.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from server.config import staged_store, staging, store
from server.config.asked import checked_minutes, checked_values
from server.config.guard import Standing, standing
from server.config.loosening import loosened
from server.config.registry import SETTINGS, Value
from server.config.revisions import (
    ALL,
    Entries,
    changed,
    done_before,
    key_id_of,
    restored,
    temporary,
    unexpired,
)
from server.config.saving import Act, Saved, clock, lost_race
from server.config.staged import StagingAsked, checked_staging, refused
from server.kernel.errors import ApiError, invalid
from server.kernel.text import checked_reason
from server.kernel.times import utc

if TYPE_CHECKING:
    from server.auth.identity import Identity
    from server.parts import Parts


@asynccontextmanager
async def acting(parts: Parts, identity: Identity, request_id: str) -> AsyncIterator[Act]:
    """One act, alone: nobody else changes the settings meanwhile. What it saved is signalled after the commit."""
    async with parts.db.act() as connection:
        await store.lock(connection)
        current, now = await store.current(connection)
        act = Act(connection, parts.settings.environment, identity.actor, request_id, now, current)
        yield act
    if act.signal is not None:
        parts.settings.signal(act.signal)
        await parts.bus.publish("config", act.signal)


async def change(
    parts: Parts,
    identity: Identity,
    *,
    expected: int,
    values: Mapping[str, Value | None],
    scope: str = ALL,
    minutes: int | None = None,
    reason: str,
    stage: StagingAsked | None = None,
    request_id: str,
) -> Saved:
    """Give settings values, for `minutes` or to be kept, where revision `expected` is still in force.

    With `stage` the revision is staged, else it is in force everywhere at once. While one
    is staged, what only tightens ends that and is made on its base.
    Raises ApiError REVISION_CHANGED (a lost race: who saved what), CONFLICT (one is staged), GATE_DENIED, INVALID.
    """
    checked_values(values, minutes)
    checked_minutes(minutes)
    if stage is not None:
        checked_staging(stage, minutes)
    reason = checked_reason(reason)
    key_id = key_id_of(scope)
    async with acting(parts, identity, request_id) as act:
        staged = await staged_store.live(act.connection)
        if staged is not None and (stage is not None or expected != act.current.number):
            raise refused(staged)
        if expected != act.current.number:
            raise await lost_race(act, expected)
        if key_id:
            await check_key(act, scope)
        until = None if minutes is None else act.now + minutes * 60
        made = partial(changed, values=values, scope=scope, until=until)
        if staged is not None:
            return await staging.tighten(act, staged, made, reason, "config.change")
        entries = made(unexpired(act.current.entries, act.now))
        if entries == act.current.entries:
            return await act.nothing_to_do("These values are in force already; nothing was changed.")
        await pass_gate(parts, act, entries)
        if stage is not None:
            return await staging.stage(act, entries, stage, reason, guard(parts, time.time()))
        return await act.save(entries, kind="change", reason=reason, action="config.change")


async def pass_gate(parts: Parts, act: Act, entries: Entries) -> None:
    """ApiError GATE_DENIED where the gate stops revisions and these entries loosen a limit; tightening is not gated."""
    loose = loosened(unexpired(act.current.entries, act.now), entries, act.environment, act.now)
    denied = await parts.gate(act.connection, act.now) if loose else None
    if denied is not None:
        raise ApiError(
            "GATE_DENIED",
            f"{denied} This would loosen {', '.join(loose)}; to tighten and to roll back is never gated. Nothing was "
            "saved: override the gate with a reason (POST /api/v1/gate/overrides, service evenkeel, kind revision), "
            "then save again.",
            gate=denied,
        )


def guard(parts: Parts, now: float) -> Standing:
    """How the objectives stand by this process's picture."""
    picture, age_s = parts.relay.picture, parts.relay.age_s(now)
    if picture is None or age_s is None:
        return Standing()
    return standing(picture.slo, picture.alerts, picture.at + age_s)


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

    One that is staged ends with it: the brake waits for nothing.
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
        staged = await staging.ended_by_rollback(act, number, reason)
        if staged is None and entries == unexpired(act.current.entries, act.now):
            return await act.done_before(base) if done_before(base, number) else await act.same_values(number)
        reason = reason or f"back to the values of revision {number}"
        return await act.save(entries, kind="rollback", restores=number, reason=reason, action="config.rollback")


async def extend(
    parts: Parts, identity: Identity, *, setting: str, scope: str, until: float, minutes: int, request_id: str
) -> Saved:
    """Let a temporary value last `minutes` longer than `until`, the end that the caller saw.

    A repeat finds another end and changes nothing. Raises ApiError CONFLICT where
    the value has ended, or a revision is staged and it loosens a limit; GATE_DENIED, INVALID.
    """
    checked_minutes(minutes)
    if setting not in SETTINGS:
        raise invalid("setting", f"settings are {', '.join(SETTINGS)}")
    key_id_of(scope)
    async with acting(parts, identity, request_id) as act:
        staged = await staged_store.live(act.connection)
        entry = temporary(act.current.entries, setting, scope)
        title = SETTINGS[setting].title
        if entry is None or entry.until is None:
            raise ApiError("CONFLICT", f"The temporary value of {title} has ended. Nothing was changed; set it again.")
        if abs(entry.until - until) > 1:
            return await act.nothing_to_do(f"Already extended to {clock(utc(entry.until))}; nothing was changed.")
        scope_words = "" if scope == ALL else f" for {scope}"
        reason = f"{title}{scope_words} extended by {minutes} min"
        made = partial(changed, values={setting: entry.value}, scope=scope, until=entry.until + minutes * 60)
        if staged is not None:
            return await staging.tighten(act, staged, made, reason, "config.extend")
        entries = made(act.current.entries)
        await pass_gate(parts, act, entries)
        return await act.save(entries, kind="change", reason=reason, action="config.extend")
