"""HTTP of the exclusions."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.slo.ledger import exclusions
from server.slo.ledger.exclusions import Act, Exclusion, ExclusionAsked, ExclusionSaved


class ExclusionsQuery(Struct):
    """`service`: only its own."""

    service: Annotated[str, Meta(max_length=200)] = ""


class Exclusions(Struct):
    """The last one first, revoked ones too; up to 500."""

    exclusions: list[Exclusion]


class ExclusionsHandler(ApiHandler):
    @operation("What people have taken out of the budgets", scope="read", query=ExclusionsQuery, returns=Exclusions)
    async def get(self) -> None:
        service = self.query(ExclusionsQuery).service or None
        async with self.parts.db.ask() as connection:
            self.reply(Exclusions(await exclusions.listed(connection, service, time.time())))

    @operation(
        "Take time out of the budgets of a service: maintenance, a load test",
        scope="act",
        body=ExclusionAsked,
        returns=ExclusionSaved,
        errors=("INVALID",),
    )
    async def post(self) -> None:
        """[start, stop) is widened to whole minutes; past, running or to come. Its sum is capped by policy."""
        assert self.identity is not None
        by = Act(self.identity.actor, self.request_id, time.time())
        self.reply(await exclusions.make(self.parts.db, self.parts.policies, self.body(ExclusionAsked), by))


class RevokeHandler(ApiHandler):
    @operation(
        "Count again what an exclusion took out",
        scope="act",
        returns=ExclusionSaved,
        errors=("NOT_FOUND", "INVALID"),
    )
    async def post(self, number: str) -> None:
        assert self.identity is not None
        exclusion_id = number_in(number)
        if exclusion_id is None:
            raise ApiError("NOT_FOUND", "An exclusion has a number; GET /api/v1/exclusions lists them.")
        by = Act(self.identity.actor, self.request_id, time.time())
        self.reply(await exclusions.revoke(self.parts.db, self.parts.policies, exclusion_id, by))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/exclusions", ExclusionsHandler),
    Route("/api/v1/exclusions/{number}/revoke", RevokeHandler),
)
