"""Acts on a staged revision: pause, resume, promote, roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from server.config import receipt_store, service, staged_store, staging
from server.config.saving import Act
from server.config.staged import Staged, State, baked_words, how_it_ended, person
from server.config.staged_view import StagedView, staged_view
from server.kernel.errors import ApiError
from server.kernel.text import ago

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.auth.identity import Identity
    from server.parts import Parts

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


async def act_on(parts: Parts, identity: Identity, act: StagedAct, revision: int, request_id: str) -> StagedActDone:
    """Do it to the staged revision that the caller saw.

    A repeat answers who did it and when. Raises ApiError CONFLICT where it has ended otherwise, or never was staged.
    """
    if act == "roll_back":
        return await roll_back(parts, identity, revision, request_id)
    async with service.acting(parts, identity, request_id) as doing:
        staged = await seen_one(doing.connection, revision)
        state = INTO[act]
        if staged.state == state:
            return await answer(doing, staged, already(doing, staged), already=True)
        if not staged.live:
            when = ago(doing.now - staged.state_at)
            raise ApiError("CONFLICT", f"{how_it_ended(staged)}, {when}. Nothing was changed.")
        if state == "promoted":
            await staging.promote(doing, staged, f"by hand, {baked_words(staged)}")
            message = f"Revision {staged.newest} is promoted: it is in force in every process."
        else:
            await staging.enter(doing, staged, state, "")
            message = f"Revision {staged.newest} is {DONE[state]}."
        return await answer(doing, staged, message, already=False)


async def roll_back(parts: Parts, identity: Identity, revision: int, request_id: str) -> StagedActDone:
    """The brake: also where it was promoted meanwhile."""
    async with parts.db.act() as connection:
        staged = await seen_one(connection, revision)
    to = staged.revision - 1
    saved = await service.rollback(parts, identity, from_=revision, to=to, request_id=request_id)
    async with parts.db.act() as connection:
        staged = await staged_store.of(connection, revision) or staged
        view = staged_view(staged, await receipt_store.seen(connection), staged.state_at)
    return StagedActDone(saved.already, saved.message, view)


async def seen_one(connection: AsyncConnection, revision: int) -> Staged:
    """The staged revision that has, or had, this number; ApiError CONFLICT."""
    staged = await staged_store.of(connection, revision)
    if staged is None:
        raise ApiError("CONFLICT", f"Revision {revision} was not staged. Nothing was changed.")
    return staged


def already(act: Act, staged: Staged) -> str:
    """Already promoted by Mira, 4 s ago."""
    return f"Already {DONE[staged.state]} by {person(staged.state_by)}, {ago(act.now - staged.state_at)}."


async def answer(act: Act, staged: Staged, message: str, *, already: bool) -> StagedActDone:
    return StagedActDone(already, message, staged_view(staged, await receipt_store.seen(act.connection), act.now))
