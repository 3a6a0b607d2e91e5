"""HTTP of changes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from server.changes import store
from server.changes.announce import Announced, AnnouncedChange, announce
from server.changes.store import Change
from server.changes.verdict import ChangeVerdict
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.times import InstantText, instant

DAY_S = 24 * 3600.0


class ChangesAsked(Struct):
    """Newest first. `before` is the id of the last change already seen."""

    since: Annotated[InstantText, Meta(description="RFC 3339; left out: the last 24 hours.")] | None = None
    service: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class ChangeAnswer(Change):
    """A change, and how what failed since compares with what failed before it on the same routes; null: that says
    nothing of it."""

    verdict: ChangeVerdict | None = None


class Changes(Struct):
    """`next` is the `before` of the next page; null on the last."""

    changes: list[ChangeAnswer]
    next: int | None


class ChangesHandler(ApiHandler):
    """/api/v1/changes"""

    @operation(
        "What altered production: deploys, revisions, environment", scope="read", query=ChangesAsked, returns=Changes
    )
    async def get(self) -> None:
        """With `service`: its own changes, and those of Evenkeel's settings, which touch every service."""
        asked = self.query(ChangesAsked)
        since = shared_clock.now() - DAY_S if asked.since is None else instant("since", asked.since).timestamp()
        async with self.parts.db.ask() as connection:
            found = await store.recent(connection, since, asked.service, asked.limit + 1, asked.before)
            verdicts = await self.parts.verdicts(connection, [one.id for one in found], shared_clock.now())
        shown = [ChangeAnswer(**asdict(one), verdict=verdicts.get(one.id)) for one in found[: asked.limit]]
        self.reply(Changes(shown, shown[-1].id if len(found) > asked.limit else None))

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
        """201 where it is new; 200 where it was announced before, or detected by its first outcome."""
        asked = self.body(AnnouncedChange)
        self.for_service(asked.service)
        assert self.identity is not None
        async with self.parts.db.act() as connection:
            found = await announce(connection, asked, self.identity.actor, self.request_id)
        self.reply(found, 200 if found.already else 201)


ROUTES: tuple[Route, ...] = (Route("/api/v1/changes", ChangesHandler),)
