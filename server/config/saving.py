"""One act on the settings inside its transaction: what it saves, records and answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from server.auth.audit_store import audit
from server.changes import store as changes
from server.config import store
from server.config.differences import Difference, Lens, Offer, differences, offer
from server.config.revisions import Entries, Environment, Kind, Revision, scopes
from server.kernel.errors import ApiError
from server.kernel.names import OWN
from server.kernel.text import ago
from server.kernel.times import Instant, utc


class Saved(Struct):
    """What an act did. With `already`, it was found done and nothing was changed."""

    revision: int
    in_force: int
    kind: Kind
    restores: int | None
    author: str
    reason: str
    at: Instant
    already: bool
    message: str
    differences: list[Difference]  # from the revision before it
    undo: Offer | None  # how to take it back


class RevisionSummary(Struct):
    """A revision that somebody else saved meanwhile."""

    revision: int
    author: str
    reason: str
    at: Instant
    differences: list[Difference]


@dataclass(slots=True)
class RevisionAct:
    """One act, under the lock. `now` is the database's time, Unix seconds."""

    connection: AsyncConnection
    environment: Environment
    actor: str
    request_id: str
    now: float
    current: Revision
    saved: Revision | None = None
    replaced: Revision | None = None  # what `saved` was made from
    signal: int | None = None  # the revision that processes are told of after the commit
    where: str = ""  # of what is saved, where it does not reach every process: staged on 1 of 4 processes
    incident: int | None = None  # in which it is done

    async def save(
        self,
        entries: Entries,
        *,
        kind: Kind,
        reason: str,
        action: str,
        restores: int | None = None,
        before: Revision | None = None,
    ) -> Saved:
        """Store the next revision with its audit entry and its change; `before`: made from another than the newest."""
        number, before = self.current.number + 1, before or self.current
        made = Revision(
            number=number,
            kind=kind,
            restores=restores,
            author=self.actor,
            reason=reason,
            at=self.now,
            entries=entries,
            made_from=before.number if before.number != number - 1 else None,
            request_id=self.request_id,
        )
        after = await store.save(self.connection, made)
        found = await self.differences(before, after)
        await self.record(before, after, found, action)
        self.current = self.saved = after
        self.replaced, self.signal = before, after.number
        was = f" (= {restores})" if restores else ""
        return await self.answer(after, f"Revision {after.number}{was} is {self.where or 'in force'}.", already=False)

    async def record(self, before: Revision, after: Revision, found: list[Difference], action: str) -> None:
        """The audit entry and the change, in the same transaction."""
        words = "; ".join(one.text + temporary_words(one) for one in found)
        await audit(
            self.connection,
            self.actor,
            action,
            f"revision {after.number}",
            {"revision": before.number, "values": msgspec.to_builtins(before.entries)},
            {"revision": after.number, "values": msgspec.to_builtins(after.entries), "reason": after.reason},
            self.request_id,
        )
        detail = {
            "revision": after.number,
            "kind": after.kind,
            "restores": after.restores,
            "reason": after.reason,
            "differences": msgspec.to_builtins(found),
            "where": self.where,
        }
        if self.incident is not None:
            detail["incident"] = self.incident
        summary = f"revision {after.number}: {words or after.reason}" + (f", {self.where}" if self.where else "")
        version = str(after.number)
        await changes.record(self.connection, "revision", OWN, version, summary, author=self.actor, detail=detail)

    async def done_before(self, done: Revision) -> Saved:
        """The answer to a rollback that somebody has done already."""
        message = f"Already rolled back to {done.restores} by {done.author}, {ago(self.now - done.at)}."
        one = self.current
        if one.number != done.number:
            message += f" Revision {one.number} by {one.author} is in force now."
        return await self.answer(done, message, already=True)

    async def same_values(self, number: int) -> Saved:
        """The answer to a rollback whose values are in force."""
        one = self.current
        message = f"Nothing to change: revision {one.number} by {one.author} has the values of {number}."
        return await self.answer(one, message, already=True)

    async def nothing_to_do(self, message: str) -> Saved:
        """The answer to an act whose values are in force."""
        return await self.answer(self.current, message, already=True)

    async def answer(self, revision: Revision, message: str, *, already: bool) -> Saved:
        before = await self.before(revision)
        lens = await self.lens(before, revision)
        in_force = self.current.number == revision.number
        return Saved(
            revision=revision.number,
            in_force=self.current.number,
            kind=revision.kind,
            restores=revision.restores,
            author=revision.author,
            reason=revision.reason,
            at=utc(revision.at),
            already=already,
            message=message,
            differences=differences(before.entries, revision.entries, lens),
            undo=offer(revision, before, lens) if in_force else None,
        )

    async def before(self, revision: Revision) -> Revision:
        """The revision before one; the first has only itself."""
        if self.replaced is not None and revision is self.saved:
            return self.replaced
        return await store.numbered(self.connection, revision.previous)

    async def differences(self, before: Revision, after: Revision) -> list[Difference]:
        return differences(before.entries, after.entries, await self.lens(before, after))

    async def lens(self, *read: Revision) -> Lens:
        """How these revisions are read: with the names of the keys in them."""
        named = scopes(tuple(entry for one in read for entry in one.entries))
        return Lens(self.environment, await store.scope_names(self.connection, named), self.now)


async def lost_race(act: RevisionAct, seen: int, code: str = "REVISION_CHANGED") -> ApiError:
    """Who saved what since the revision that the caller saw."""
    if not 1 <= seen <= act.current.number:
        return ApiError(code, f"Revision {act.current.number} is in force, not {seen}. Nothing was saved.")
    later = await store.newest(act.connection, min(20, act.current.number - seen))
    saved = []
    for after in reversed(later):
        before = await store.numbered(act.connection, after.previous)
        found = await act.differences(before, after)
        saved.append(RevisionSummary(after.number, after.author, after.reason, utc(after.at), found))
    words = "; ".join(
        f"{one.author} saved {one.revision} {ago(act.now - one.at.timestamp())} "
        f"({', '.join(d.text for d in one.differences)})"
        for one in saved
    )
    in_force = act.current.number
    return ApiError(code, f"{words}. Nothing was saved.", in_force=in_force, saved=msgspec.to_builtins(saved))


def temporary_words(one: Difference) -> str:
    return f", until {clock(one.after_until)}" if one.after_until is not None else ""


def clock(until: datetime) -> str:
    """A time within a sentence."""
    return until.strftime("%Y-%m-%d %H:%M:%S UTC")
