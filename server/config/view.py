"""The settings as the page and the API show them, read in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from server.config import receipt_store, store
from server.config.history import RevisionView, history
from server.config.offers import Offer, offer
from server.config.receipts import Awaited, Progress, Seen, progress
from server.config.registry import SETTINGS, Value
from server.config.resolve import Environment, Lens, Source, differences, resolve, scopes
from server.config.revisions import ALL, Revision, ends_soon, key_id_of
from server.times import Instant, utc

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.parts import Parts

HISTORY = 50
RECENT_S = 24 * 3600


class ScopeValue(Struct):
    """A setting for all, or for one key that has a value of its own."""

    scope: str  # all, key:3
    scope_name: str  # all, ci-loadgen
    key_id: int  # 0: all
    value: Value  # in force
    source: Source
    standing: Value  # what shows when a temporary value ends
    standing_source: Source
    until: Instant | None  # None: kept
    ends_soon: bool  # within 5 minutes: offer to extend


class Elsewhere(Struct):
    """A process whose environment says something else than this one's."""

    process: str
    value: Value  # in force there, by its newest receipt
    source: Source
    environment: Value | None


class LastChange(Struct):
    """The newest revision that changed a setting, and how to go back to the one before it."""

    revision: int
    author: str
    reason: str
    at: Instant
    rollback: Offer | None


class SettingView(Struct):
    """One setting: what it is, what is in force, and where that comes from."""

    name: str
    title: str
    kind: Literal["integer", "boolean"]
    unit: str
    minimum: int
    maximum: int
    help: str
    risk: str
    default: Value
    environment: Value | None  # None: the environment does not give it
    in_force: ScopeValue  # for all
    scopes: list[ScopeValue]  # keys with values of their own
    elsewhere: list[Elsewhere]
    last_change: LastChange | None  # within the newest 50 revisions
    recent: bool  # changed within 24 h, or temporary


class ConfigView(Struct):
    """Everything about the settings. Its ETag is the revision's number."""

    revision: RevisionView  # in force
    rollback: Offer | None  # the one click: back to the one before, or undo
    rollout: Progress
    settings: list[SettingView]
    history: list[RevisionView]  # newest first, at most 50
    more: bool  # whether there are older ones


async def config_view(parts: Parts, now: float) -> ConfigView:
    """The settings in force and how far they have come. `now` is Unix seconds."""
    async with parts.db.act() as connection:
        revisions = await store.newest(connection, HISTORY + 1)
        current = revisions[0]
        seen = await receipt_store.seen(connection)
        lens = await lens_for(connection, parts, revisions, now)
        base = await store.act_up_to(connection, current.number)
        target = await store.numbered(connection, max(1, base.number - 1))
        late = [(one, await store.numbered(connection, one.revision or 1)) for one in behind(seen, current.number)]
    shown = history(revisions, current, lens)[:HISTORY]
    enforced = {process.id: may_enforce(process, current, older, lens) for process, older in late}
    awaited = Awaited(current.number, current.at, now, enforced)
    return ConfigView(
        revision=shown[0],
        rollback=offer(current, target, lens),
        rollout=progress(seen, awaited),
        settings=[setting_view(name, revisions, shown, seen, lens) for name in SETTINGS],
        history=shown,
        more=len(revisions) > HISTORY,
    )


async def revisions_view(parts: Parts, now: float, limit: int, before: int | None) -> tuple[list[RevisionView], bool]:
    """A page of revisions, newest first, and whether there are older ones."""
    async with parts.db.act() as connection:
        current, _ = await store.current(connection)
        found = await store.newest(connection, limit + 1, before)
        lens = await lens_for(connection, parts, [current, *found], now)
    return history(found, current, lens)[:limit], len(found) > limit


async def lens_for(connection: AsyncConnection, parts: Parts, revisions: Sequence[Revision], now: float) -> Lens:
    named = scopes(tuple(entry for one in revisions for entry in one.entries))
    return Lens(parts.rollout.environment, await store.scope_names(connection, named), now)


def behind(seen: Sequence[Seen], current: int) -> list[Seen]:
    """The processes that were last known to enforce an older revision."""
    return [one for one in seen if one.revision is not None and one.revision != current]


def may_enforce(process: Seen, current: Revision, older: Revision, lens: Lens) -> str:
    """What a process that stopped at an older revision enforces instead, by its own receipt where that says."""
    told = []
    for one in differences(current.entries, older.entries, lens):
        setting = SETTINGS[one.setting]
        there = process.applied.get(one.setting, {}).get("value", one.after) if one.scope == ALL else one.after
        if there != one.before:
            told.append(
                f"{setting.title} {setting.shown(there)}" + ("" if one.scope == ALL else f" for {one.scope_name}")
            )
    return ", ".join(told)


def setting_view(
    name: str, revisions: Sequence[Revision], shown: Sequence[RevisionView], seen: Sequence[Seen], lens: Lens
) -> SettingView:
    setting, current = SETTINGS[name], revisions[0]
    own = scopes(tuple(e for e in current.entries if e.setting == name))
    values = [scope_value(name, scope, current, lens) for scope in (ALL, *own)]
    last = last_change(name, revisions, shown, lens)
    temporary = any(one.until is not None for one in values)
    return SettingView(
        name=name,
        title=setting.title,
        kind=setting.kind,
        unit=setting.unit,
        minimum=setting.minimum,
        maximum=setting.maximum,
        help=setting.help,
        risk=setting.risk,
        default=setting.default,
        environment=lens.environment.get(name),
        in_force=values[0],
        scopes=values[1:],
        elsewhere=elsewhere(name, seen, lens.environment),
        last_change=last,
        recent=temporary or (last is not None and lens.now - last.at.timestamp() < RECENT_S),
    )


def scope_value(name: str, scope: str, current: Revision, lens: Lens) -> ScopeValue:
    found = resolve(current.entries, lens.environment, name, scope)
    return ScopeValue(
        scope=scope,
        scope_name=lens.name(scope),
        key_id=key_id_of(scope),
        value=found.value,
        source=found.source,
        standing=found.standing,
        standing_source=found.standing_source,
        until=None if found.until is None else utc(found.until),
        ends_soon=ends_soon(found.until, lens.now),
    )


def last_change(
    name: str, revisions: Sequence[Revision], shown: Sequence[RevisionView], lens: Lens
) -> LastChange | None:
    """The newest revision in which the setting differs from the one before, in any scope."""
    for one, before in zip(shown, revisions[1:], strict=False):
        if any(d.setting == name for d in one.differences):
            return LastChange(one.revision, one.author, one.reason, one.at, offer(revisions[0], before, lens))
    return None


def elsewhere(name: str, seen: Sequence[Seen], environment: Environment) -> list[Elsewhere]:
    """The processes with another environment than ours."""
    found = []
    for one in seen:
        there = one.applied.get(name)
        if there is not None and there["environment"] != environment.get(name):
            label = f"{one.host}/{one.name}"
            found.append(Elsewhere(label, there["value"], there["source"], there["environment"]))
    return found
