"""The settings as the page and the API show them, read in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct, field

from server.config import store
from server.config.differences import Difference, Lens, Offer, RevisionView, differences, history, offer
from server.config.receipts import Awaited, Due, Progress, WebProcess, progress
from server.config.registry import SETTINGS, Value
from server.config.revisions import ALL, Environment, Revision, Source, ends_soon, key_id_of, resolve, scopes
from server.config.staged import Staged, StagedView, staged_view, still_shown
from server.kernel.names import OWN
from server.kernel.times import Instant, utc

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
    """The newest revision that changed a setting, and how to go back; null where the guard made it."""

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
    in_force: ScopeValue  # for all; while a revision is staged, where it is not
    scopes: list[ScopeValue]  # keys with values of their own
    staged: list[Difference]  # what a staged revision changes of it, in the chosen processes
    elsewhere: list[Elsewhere]
    last_change: LastChange | None  # within the newest 50 revisions
    recent: bool  # changed within 24 h, or temporary


class ConfigView(Struct):
    """Everything about the settings. Its ETag is the revision's number."""

    revision: RevisionView  # the newest: in force, or staged
    rollback: Offer | None  # the one click: back to the one before, or undo
    staged: StagedView | None  # while one is, and after its end until the next act
    progress: Progress = field(name="rollout")  # how far the newest has come; version 0.1.0 answers it by that name
    settings: list[SettingView]
    history: list[RevisionView]  # newest first, at most 50
    more: bool  # whether there are older ones


class ConfigRead(NamedTuple):
    """What the database says of the revisions, in one transaction."""

    revisions: list[Revision]  # newest first
    base: Revision  # in force in most processes: the newest, unless that one is staged
    target: Revision  # what one click brings back
    staged: Staged | None  # the newest that was staged, while the page tells of it
    processes: list[WebProcess]
    due: dict[int, Due]
    late: list[tuple[WebProcess, Revision]]  # processes that were last known to enforce another revision
    lens: Lens


async def config_view(parts: Parts, now: float) -> ConfigView:
    """The settings in force and how far they have come. `now` is Unix seconds."""
    async with parts.db.act() as connection:
        read = await read_config(connection, parts, now)
    revisions, lens, staged = read.revisions, read.lens, read.staged
    current, by_number = revisions[0], {one.number: one for one in (read.base, revisions[0])}
    shown = history(revisions, current, lens)[:HISTORY]
    enforced = {one.id: may_enforce(one, by_number[read.due[one.id].revision], old, lens) for one, old in read.late}
    undoes_the_guard = staged is not None and staged.state == "rolled_back"
    return ConfigView(
        revision=shown[0],
        rollback=None if undoes_the_guard else offer(current, read.target, lens),
        progress=progress(read.processes, Awaited(current.number, read.due, now, enforced)),
        staged=None if staged is None else staged_view(staged, read.processes, now),
        settings=[setting_view(name, read, shown) for name in SETTINGS],
        history=shown,
        more=len(revisions) > HISTORY,
    )


async def read_config(connection: AsyncConnection, parts: Parts, now: float) -> ConfigRead:
    revisions = await store.newest(connection, HISTORY + 2)  # the two that the last one may be made from
    current, processes = revisions[0], await store.web_processes(connection)
    staged, last_act = await store.last_staged(connection), await store.act_up_to(connection, current.number)
    live = staged is not None and staged.live
    base = await store.numbered(connection, staged.base) if staged is not None and live else current
    target = base if live else await store.numbered(connection, max(1, last_act.number - 1))
    were = {staged.newest: staged} if staged is not None else {}  # a staged one that holds `current` is the latest
    before = await store.staged_as(connection, base.number) if live else None
    if before is not None:
        were[base.number] = before
    due = dues(current, base, were, processes)
    behind = [one for one in processes if one.revision is not None and one.revision != due[one.id].revision]
    late = [(one, await store.numbered(connection, one.revision or 1)) for one in behind]
    lens = await lens_for(connection, parts, revisions, now)
    return ConfigRead(
        revisions, base, target, staged if still_shown(staged, last_act) else None, processes, due, late, lens
    )


async def revisions_view(parts: Parts, now: float, limit: int, before: int | None) -> tuple[list[RevisionView], bool]:
    """A page of revisions, newest first, and whether there are older ones."""
    async with parts.db.act() as connection:
        current, _ = await store.current(connection)
        found = await store.newest(connection, limit + 2, before)
        lens = await lens_for(connection, parts, [current, *found], now)
    return history(found, current, lens)[:limit], len(found) > limit


async def lens_for(connection: AsyncConnection, parts: Parts, revisions: Sequence[Revision], now: float) -> Lens:
    named = scopes(tuple(entry for one in revisions for entry in one.entries))
    return Lens(parts.settings.environment, await store.scope_names(connection, named), now)


def may_enforce(process: WebProcess, current: Revision, older: Revision, lens: Lens) -> str:
    """What a process that stopped at an older revision enforces instead, by its own receipt where that says."""
    words = []
    for one in differences(current.entries, older.entries, lens):
        setting = SETTINGS[one.setting]
        there = process.applied.get(one.setting, {}).get("value", one.after) if one.scope == ALL else one.after
        if there != one.before:
            words.append(
                f"{setting.title} {setting.shown(there)}" + ("" if one.scope == ALL else f" for {one.scope_name}")
            )
    return ", ".join(words)


def setting_view(name: str, read: ConfigRead, shown: Sequence[RevisionView]) -> SettingView:
    setting, base, lens = SETTINGS[name], read.base, read.lens
    own = scopes(tuple(e for e in base.entries if e.setting == name))
    values = [scope_value(name, scope, base, lens) for scope in (ALL, *own)]
    last = last_change(name, read.revisions, shown, lens)
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
        staged=[one for one in differences(base.entries, read.revisions[0].entries, lens) if one.setting == name],
        elsewhere=elsewhere(name, read.processes, lens.environment),
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
    """The newest revision in which the setting differs from the one it was made from, in any scope."""
    listed = {one.number: one for one in revisions}
    for one, made in zip(shown, revisions, strict=False):
        if any(d.setting == name for d in one.differences):
            # What the guard has brought back burned: only History offers it once more.
            guarded = made.kind == "rollback" and made.author == OWN
            back = None if guarded else offer(revisions[0], listed[made.previous], lens)
            return LastChange(one.revision, one.author, one.reason, one.at, back)
    return None


def elsewhere(name: str, processes: Sequence[WebProcess], environment: Environment) -> list[Elsewhere]:
    """The processes with another environment than ours."""
    found = []
    for one in processes:
        there = one.applied.get(name)
        if there is not None and there["environment"] != environment.get(name):
            label = f"{one.host}/{one.name}"
            found.append(Elsewhere(label, there["value"], there["source"], there["environment"]))
    return found


def dues(
    current: Revision, base: Revision, staged: Mapping[int, Staged], processes: Sequence[WebProcess]
) -> dict[int, Due]:
    """What is in force in each process, and since when. `staged` has, by number, those of the two that were staged."""
    mine = staged.get(current.number)
    live = mine is not None and mine.live
    found = {}
    for one in processes:
        revision = base if live and mine is not None and one.id not in mine.chosen else current
        found[one.id] = Due(revision.number, since(revision, staged.get(revision.number), one.id))
    return found


def since(revision: Revision, staged: Staged | None, process: int) -> float:
    """When a revision came into force in a process: when it was made, chosen or promoted."""
    if staged is None or staged.newest != revision.number:
        return revision.at
    if process in staged.chosen:
        return max(revision.at, staged.chosen[process])
    return staged.state_at if staged.state == "promoted" else revision.at
