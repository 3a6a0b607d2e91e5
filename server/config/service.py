"""Acts on the settings: change, roll back, extend; and on a staged revision: pause, resume, promote, roll back.

Each is one transaction: the revision, the audit entry and the change are stored
together or not at all. The signal goes out after the commit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from server.config import staging, store
from server.config.differences import differences, loosened
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
from server.config.saving import RevisionAct, Saved, clock, lost_race
from server.config.staged import (
    Staged,
    StagedView,
    StagingAsked,
    State,
    baked_words,
    checked_staging,
    how_it_ended,
    person,
    refused,
    staged_view,
)
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.names import OWN
from server.kernel.text import ago, checked_reason
from server.kernel.times import utc

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.identity import Identity
    from server.parts import Parts


MINUTES_MAX = 7 * 24 * 60

StagedAct = Literal["pause", "resume", "promote", "roll_back"]

INTO: dict[StagedAct, State] = {"pause": "paused", "resume": "running", "promote": "promoted"}
DONE: dict[State, str] = {
    "running": "running again",
    "paused": "paused",
    "promoted": "promoted",
    "rolled_back": "rolled back",
}


class StagedActDone(Struct):
    """What an act did. With `already`, it was found done and nothing was changed."""

    already: bool
    message: str
    staged: StagedView


@asynccontextmanager
async def acting(parts: Parts, identity: Identity, request_id: str) -> AsyncIterator[RevisionAct]:
    """One act, alone: nobody else changes the settings meanwhile. What it saved is signalled after the commit."""
    async with parts.db.act() as connection:
        act = await begun(parts, connection, identity.actor, request_id)
        yield act
    if act.signal is not None:
        await signalled(parts, act.signal)


async def begun(
    parts: Parts, connection: AsyncConnection, actor: str, request_id: str, incident: int | None = None
) -> RevisionAct:
    """An act within a transaction: until its end nobody else changes the settings."""
    await store.lock(connection)
    current, now = await store.current(connection)
    return RevisionAct(connection, parts.settings.environment, actor, request_id, now, current, incident=incident)


async def signalled(parts: Parts, revision: int) -> None:
    """Tell every process to look, once a revision is committed; without it they look by themselves."""
    parts.settings.signal(revision)
    await parts.bus.publish("config", revision)


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
        staged = await store.live_staged(act.connection)
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
            return await staging.stage(act, entries, stage, reason, parts.objectives_now(shared_clock.now()))
        return await act.save(entries, kind="change", reason=reason, action="config.change")


async def pass_gate(parts: Parts, act: RevisionAct, entries: Entries) -> None:
    """ApiError GATE_DENIED where the gate stops revisions and these entries let in more load; with what is held, and
    the override that would let it pass. What only tightens, and what cannot add load, is not gated."""
    before = unexpired(act.current.entries, act.now)
    held = [name for name in loosened(before, entries, act.environment, act.now) if SETTINGS[name].adds_load]
    denied = await parts.gate(act.connection, act.now) if held else None
    if denied is not None:
        found = differences(before, entries, await act.lens(act.current))
        raise ApiError(
            "GATE_DENIED",
            f"{denied} This would let in more load: {', '.join(SETTINGS[name].title for name in held)}. Nothing was "
            "saved: send what `override` holds, with your reason, then save again. Never held: what only tightens, "
            "what goes back, and the sizes of requests.",
            gate=denied,
            holds=[one.text for one in found if one.setting in held],
            override=OVERRIDE,
        )


async def check_key(act: RevisionAct, scope: str) -> None:
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
        return await rolled_back(act, from_, to, reason)


async def rolled_back(act: RevisionAct, from_: int | None, to: int | None, reason: str) -> Saved:
    """The same within an act."""
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
        staged = await store.live_staged(act.connection)
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


# What lets a revision pass that the gate holds; the reason is the caller's.
OVERRIDE = {
    "method": "POST",
    "path": "/api/v1/gate/overrides",
    "body": {"service": OWN, "kind": "revision", "reason": "", "minutes": 15},
}


def checked_values(values: Mapping[str, Value | None], minutes: int | None) -> None:
    """ApiError INVALID naming every value that is wrong, with its bounds."""
    if not values:
        raise invalid("values", f"name at least one of {', '.join(SETTINGS)}")
    faults = [(name, fault) for name, value in values.items() if (fault := fault_of(name, value, minutes))]
    if not faults:
        return
    errors = [field_error(name, fault) for name, fault in faults]
    words = "; ".join(f"{name[:60]}: {fault}" for name, fault in faults)
    raise ApiError("INVALID", f"{words}. Nothing was saved.", errors=errors)


def fault_of(name: str, value: Value | None, minutes: int | None) -> str | None:
    """What is wrong with one value; null takes the scope's own value away and cannot be temporary."""
    if name not in SETTINGS:
        return f"is not a setting; settings are {', '.join(SETTINGS)}"
    if value is None:
        return None if minutes is None else "null cannot be temporary; leave out `minutes`"
    return SETTINGS[name].fault(value)


def field_error(name: str, fault: str) -> dict[str, object]:
    """One member of `errors`, with the bounds where the setting has them."""
    found: dict[str, object] = {"field": f"values.{name}", "reason": fault}
    setting = SETTINGS.get(name)
    if setting is not None and setting.kind == "integer":
        found |= {"minimum": setting.minimum, "maximum": setting.maximum}
    return found


def checked_minutes(minutes: int | None) -> None:
    """ApiError INVALID for what is not from 1 minute to a week."""
    if minutes is not None and not 1 <= minutes <= MINUTES_MAX:
        raise invalid("minutes", f"give a whole number from 1 to {MINUTES_MAX}, or leave it out to keep the value")


async def act_on(parts: Parts, identity: Identity, act: StagedAct, revision: int, request_id: str) -> StagedActDone:
    """Do it to the staged revision that the caller saw.

    A repeat answers who did it and when. Raises ApiError CONFLICT where it has ended otherwise, or never was staged.
    """
    if act == "roll_back":
        return await roll_staged_back(parts, identity, revision, request_id)
    async with acting(parts, identity, request_id) as doing:
        staged = await seen_one(doing.connection, revision)
        state = INTO[act]
        if staged.state == state:
            return await staged_done(doing, staged, already(doing, staged), already=True)
        if not staged.live:
            when = ago(doing.now - staged.state_at)
            raise ApiError("CONFLICT", f"{how_it_ended(staged)}, {when}. Nothing was changed.")
        if state == "promoted":
            await staging.promote(doing, staged, f"by hand, {baked_words(staged)}")
            message = f"Revision {staged.newest} is promoted: it is in force in every process."
        else:
            await staging.enter(doing, staged, state, "")
            message = f"Revision {staged.newest} is {DONE[state]}."
        return await staged_done(doing, staged, message, already=False)


async def roll_staged_back(parts: Parts, identity: Identity, revision: int, request_id: str) -> StagedActDone:
    """The brake: also where it was promoted meanwhile."""
    async with parts.db.act() as connection:
        staged = await seen_one(connection, revision)
    to = staged.revision - 1
    saved = await rollback(parts, identity, from_=revision, to=to, request_id=request_id)
    async with parts.db.act() as connection:
        staged = await store.staged_as(connection, revision) or staged
        view = staged_view(staged, await store.web_processes(connection), staged.state_at)
    return StagedActDone(saved.already, saved.message, view)


async def seen_one(connection: AsyncConnection, revision: int) -> Staged:
    """The staged revision that has, or had, this number; ApiError CONFLICT."""
    staged = await store.staged_as(connection, revision)
    if staged is None:
        raise ApiError("CONFLICT", f"Revision {revision} was not staged. Nothing was changed.")
    return staged


def already(act: RevisionAct, staged: Staged) -> str:
    """Already promoted by Mira, 4 s ago."""
    return f"Already {DONE[staged.state]} by {person(staged.state_by)}, {ago(act.now - staged.state_at)}."


async def staged_done(act: RevisionAct, staged: Staged, message: str, *, already: bool) -> StagedActDone:
    return StagedActDone(already, message, staged_view(staged, await store.web_processes(act.connection), act.now))
