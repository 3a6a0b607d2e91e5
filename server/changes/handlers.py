"""HTTP of changes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.changes import store
from server.changes.announce import Announced, AnnouncedChange, FinishedChange, announce, finish
from server.changes.answer import ChangeAnswer, with_verdicts
from server.changes.waits import TOPIC, WAIT_MAX_S
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.kernel.times import InstantText, instant
from server.parts import Parts

DAY_S = 24 * 3600.0


class ChangesAsked(Struct):
    """Newest first. `before` is the id of the last change already seen."""

    since: Annotated[InstantText, Meta(description="RFC 3339; left out: the last 24 hours.")] | None = None
    service: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class Changes(Struct):
    """`next` is the `before` of the next page; null on the last."""

    changes: list[ChangeAnswer]
    next: int | None


class ChangeAsked(Struct):
    """`wait`: for so many seconds at most, until a change that is under way has ended, or until its verdict is known
    (`finding` is not too_few)."""

    wait: Annotated[int, Meta(ge=0, le=WAIT_MAX_S)] = 0


class ChangesHandler(ApiHandler):
    """/api/v1/changes"""

    receiver = "Changes"

    @operation(
        "What altered production: deploys, revisions, environment", scope="read", query=ChangesAsked, returns=Changes
    )
    async def get(self) -> None:
        """With `service`: its own changes, and those of Evenkeel's settings, which touch every service."""
        self.reply(await changes_of(self.parts, self.query(ChangesAsked)))

    @operation(
        "Tell of a deploy, a scale or a flag",
        scope="act",
        body=AnnouncedChange,
        of_service=True,
        returns=Announced,
        status=201,
        also=(200,),
    )
    async def post(self) -> None:
        """201 where it is new; 200 where it was announced before, where that ends it, or where its first outcome was
        quicker."""
        asked = self.body(AnnouncedChange)
        self.for_service(asked.service)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            known = await announce(connection, asked, self.identity.actor, self.request_id)
        await self.parts.bus.publish(TOPIC, known.change.id)
        self.reply(known, 200 if known.already else 201)


class OneChangeHandler(ApiHandler):
    """/api/v1/changes/{change_id}"""

    @operation(
        "One change: how far it is, and its verdict",
        scope="read",
        query=ChangeAsked,
        returns=ChangeAnswer,
        errors=("NOT_FOUND",),
    )
    async def get(self, change_id: str) -> None:
        """A change that failed, and one that no pipeline tells of, is answered at once."""
        wait = self.query(ChangeAsked).wait
        self.counted = not wait  # who asks to wait is not served slowly
        self.reply(await self.parts.waits.known(numbered(change_id), wait))


class FinishHandler(ApiHandler):
    """/api/v1/changes/{change_id}/finish"""

    @operation(
        "End a change that is under way",
        scope="act",
        body=FinishedChange,
        of_service=True,
        returns=Announced,
        errors=("NOT_FOUND", "CONFLICT"),
    )
    async def post(self, change_id: str) -> None:
        """Told again it changes nothing. 409 where it ended otherwise."""
        number, asked = numbered(change_id), self.body(FinishedChange)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            found = await store.several(connection, [number])
            if not found:
                raise ApiError("NOT_FOUND", f"There is no change {number}. Nothing was done.")
            self.for_service(found[0].service)
            known = await finish(connection, found[0], asked, self.identity.actor, self.request_id)
        await self.parts.bus.publish(TOPIC, number)
        self.reply(known)


async def changes_of(parts: Parts, asked: ChangesAsked) -> Changes:
    """One page of changes, each with its verdict."""
    since = shared_clock.now() - DAY_S if asked.since is None else instant("since", asked.since).timestamp()
    async with parts.db.ask() as connection:
        found = await store.recent(connection, since, asked.service, asked.limit + 1, asked.before)
        shown = await with_verdicts(connection, found[: asked.limit], parts.verdicts, shared_clock.now())
    return Changes(shown, shown[-1].id if len(found) > asked.limit else None)


def numbered(text: str) -> int:
    """An id in an address; what is none is not there."""
    number = number_in(text)
    if number is None:
        raise ApiError("NOT_FOUND", f"{text[:40]} is not a number; GET /api/v1/changes has the numbers.")
    return number


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/changes", ChangesHandler),
    Route("/api/v1/changes/{change_id}", OneChangeHandler),
    Route("/api/v1/changes/{change_id}/finish", FinishHandler),
)
