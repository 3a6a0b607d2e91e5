"""A revision is staged, promoted or rolled back: each in the transaction of its act, under the lock.

The watch looks at it each second: it counts its bake time, and promotes it or rolls it back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from server.auth.audit_store import audit
from server.changes import store as changes
from server.config import store
from server.config.differences import loosened
from server.config.receipts import GONE_S, SILENT_S, WebProcess, labels
from server.config.revisions import Entries, Environment, unexpired
from server.config.saving import RevisionAct, Saved
from server.config.staged import (
    ObjectivesNow,
    Staged,
    StagingAsked,
    State,
    baked_s,
    burned_before,
    choose,
    held_by,
    kept_up,
    refused,
    stale,
    starts_to_burn,
    still_known,
    unsure_words,
)
from server.kernel.bus import Bus
from server.kernel.db import Database
from server.kernel.errors import ApiError
from server.kernel.names import OWN
from server.kernel.text import plural
from server.process.watch import require_term

log = logging.getLogger("evenkeel.bake")

EVERY_S = 1.0  # between two looks of the watch
ACTIONS: dict[State, str] = {
    "running": "resume",
    "paused": "pause",
    "promoted": "promote",
    "rolled_back": "end_staged",
}


async def tighten(
    act: RevisionAct, staged: Staged, made: Callable[[Entries], Entries], reason: str, action: str
) -> Saved:
    """Make a change that only tightens while one is staged: that ends it, and the change is made on its base.

    Both in the one act: nobody sees the base alone. ApiError CONFLICT where it loosens anything of the base.
    """
    base = unexpired((await store.numbered(act.connection, staged.base)).entries, act.now)
    mine = unexpired(act.current.entries, act.now)
    tightened = made(base)
    if loosened(base, tightened, act.environment, act.now):
        raise refused(staged)
    if tightened == base and made(mine) == mine:
        return await act.nothing_to_do("These values are in force already; nothing was changed.")
    ended = f"Revision {staged.newest}, which was staged, is rolled back."
    why = f"to tighten at once: {reason}"
    saved = await bring_back(act, staged, why, why)
    if tightened != base:
        saved = await act.save(tightened, kind="change", reason=reason, action=action)
    return msgspec.structs.replace(saved, message=f"{saved.message} {ended}")


async def stage(
    act: RevisionAct, entries: Entries, asked: StagingAsked, reason: str, objectives: ObjectivesNow
) -> Saved:
    """Save a change that reaches a share of the web processes.

    Raises ApiError UNAVAILABLE where nothing would guard it, INVALID with a single process.
    """
    guarded(objectives)
    live = [one.id for one in await store.web_processes(act.connection) if one.silent_s <= SILENT_S]
    chosen = choose(sorted(live), asked.share)
    act.where = f"staged on {len(chosen)} of {len(live)} processes for {asked.bake_minutes} min"
    base = act.current.number
    saved = await act.save(entries, kind="change", reason=reason, action="config.stage")
    staged = Staged(
        revision=saved.revision,
        newest=saved.revision,
        base=base,
        state="running",
        state_by=act.actor,
        state_at=act.now,
        why="",
        share=asked.share,
        bake_s=asked.bake_minutes * 60,
        chosen=dict.fromkeys(chosen, act.now),
        known=sorted(objectives.burning),
    )
    await store.add_staged(act.connection, staged)
    return msgspec.structs.replace(saved, message=" ".join([saved.message, *warnings(objectives)]))


def guarded(objectives: ObjectivesNow) -> None:
    """ApiError UNAVAILABLE where the objectives are not evaluated just now."""
    not_evaluated = stale(objectives)
    if not not_evaluated:
        return
    detail = f"The {not_evaluated}, so nothing would guard a staged revision. Nothing was saved; "
    raise ApiError("UNAVAILABLE", f"{detail}try again, or leave `stage` out to apply it at once.", retry_after=5)


def warnings(objectives: ObjectivesNow) -> list[str]:
    """What the one who stages should know."""
    burning = ", ".join(objectives.burning.values())
    unsure = unsure_words(objectives)
    words = [f"Burning before, so it does not end it: {burning}."] if burning else []
    return words + ([f"The bake clock stands while {unsure}."] if unsure else [])


async def ended_by_rollback(act: RevisionAct, to: int, reason: str) -> Staged | None:
    """End the staged revision because `to` is brought back; None where none is staged.

    ApiError CONFLICT where `to` is the staged one itself.
    """
    staged = await store.live_staged(act.connection)
    if staged is None:
        return None
    if staged.revision <= to <= staged.newest and to != staged.base:
        detail = f"Revision {to} is the one that is staged: promote it to have it everywhere. Nothing was changed."
        raise ApiError("CONFLICT", detail)
    await enter(act, staged, "rolled_back", reason or "by hand")
    return staged


async def roll_back(act: RevisionAct, staged: Staged, evidence: str) -> None:
    """Bring its base back because an objective burns."""
    many = plural(len(staged.chosen), "process", "processes")
    reason = f"{evidence} since revision {staged.newest} was staged on {many}"
    await bring_back(act, staged, evidence, reason)


async def bring_back(act: RevisionAct, staged: Staged, why: str, reason: str) -> Saved:
    """End it, and save its base as a rollback."""
    to = staged.revision - 1
    entries = unexpired((await store.numbered(act.connection, to)).entries, act.now)
    await enter(act, staged, "rolled_back", why)
    return await act.save(entries, kind="rollback", restores=to, reason=reason, action="config.rollback")


async def promote(act: RevisionAct, staged: Staged, why: str) -> None:
    """Put it in force everywhere, with an audit entry and a change: now it reaches everybody."""
    await enter(act, staged, "promoted", why)
    base = await store.numbered(act.connection, staged.base)
    found = await act.differences(base, act.current)
    words = "; ".join(one.text for one in found) or act.current.reason
    summary = f"revision {staged.newest} promoted to every process: {words}"
    detail = {
        "revision": staged.newest,
        "kind": "promotion",
        "reason": why,
        "differences": msgspec.to_builtins(found),
        "where": "promoted to every process",
    }
    number = str(staged.newest)
    await changes.record(act.connection, "revision", OWN, number, summary, author=act.actor, detail=detail)
    act.signal = staged.newest


async def enter(act: RevisionAct, staged: Staged, state: State, why: str) -> None:
    """Bring it into another state, with an audit entry."""
    before = {"state": staged.state, "baked_s": round(staged.baked_s)}
    staged.state, staged.state_by, staged.state_at, staged.why = state, act.actor, act.now, why
    await store.keep_staged(act.connection, staged)
    after = {"state": state, "why": why}
    subject = f"revision {staged.newest}"
    await audit(act.connection, act.actor, f"config.{ACTIONS[state]}", subject, before, after, act.request_id)


class Bake:
    """A job of the watch. `objectives` answers how the objectives stand by the newest evaluation."""

    def __init__(
        self, db: Database, bus: Bus, environment: Environment, objectives: Callable[[], ObjectivesNow]
    ) -> None:
        self.db = db
        self.bus = bus
        self.environment = environment
        self.objectives = objectives

    async def run(self, term: int) -> None:
        """One look; Fenced where another watch has taken over."""
        async with self.db.act() as connection:
            if await store.live_staged(connection) is None:
                return
            await store.lock(connection)
            await require_term(connection, term)
            staged = await store.live_staged(connection)
            if staged is None:  # somebody has ended it while we waited
                return
            current, now = await store.current(connection)
            act = RevisionAct(connection, self.environment, OWN, "", now, current)
            await look(act, staged, self.objectives(), await store.web_processes(connection))
        if act.signal is not None:
            await self.bus.publish("config", act.signal)


async def look(act: RevisionAct, staged: Staged, objectives: ObjectivesNow, processes: list[WebProcess]) -> None:
    """Keep the chosen processes up; then roll back, promote, or count on."""
    keep_processes(act, staged, processes)
    fresh = not stale(objectives)
    if fresh:
        staged_at = (await store.numbered(act.connection, staged.revision)).at
        staged.known = sorted({*staged.known, *burned_before(objectives, staged_at)})
    burns = starts_to_burn(staged, objectives) if fresh else ""
    if burns:
        log.warning("revision %d is rolled back: %s", staged.newest, burns)
        await roll_back(act, staged, burns)
        return
    if fresh:
        staged.known = still_known(staged, objectives)
    held = held_by(staged, objectives, unproven(staged, processes))
    staged.baked_s = baked_s(staged, held, act.now)
    staged.held, staged.checked_at = held, act.now
    if staged.baked_s >= staged.bake_s and not held:
        log.info("revision %d is promoted", staged.newest)
        await promote(act, staged, f"baked {staged.bake_s // 60} min and no objective started to burn")
    else:
        await store.keep_staged(act.connection, staged)


def keep_processes(act: RevisionAct, staged: Staged, processes: list[WebProcess]) -> None:
    """Others stand in for chosen processes that have gone."""
    there = {one.id for one in processes if one.silent_s <= GONE_S}
    fresh = [one.id for one in processes if one.silent_s <= SILENT_S]
    chosen = kept_up(staged.chosen, there, fresh, act.now)
    if chosen != staged.chosen:
        log.warning("revision %d: processes %s, before %s", staged.newest, sorted(chosen), sorted(staged.chosen))
        staged.chosen, act.signal = chosen, staged.newest


def unproven(staged: Staged, processes: list[WebProcess]) -> list[str]:
    """The chosen processes that are not known to enforce it now."""
    named = labels(processes)
    proven = {one.id for one in processes if one.revision == staged.newest and one.silent_s <= SILENT_S}
    return [named.get(one, "a process that has gone") for one in staged.chosen if one not in proven]
