"""HTTP of the gate."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.gate import overrides, store
from server.gate.answer import AskedReason, GateAnswer, Override, Question
from server.gate.asking import ask
from server.gate.overrides import Overridden, OverrideAsked
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.slo.model.budget_policy import ChangeKind

Name = Annotated[str, Meta(max_length=200)]


class GateAsked(Struct):
    """`version`: of a deploy, so that one that was rolled back is denied; `reason`: what the policy may except, or
    `incident`: this is needed for a page that fires and that somebody has acknowledged.
    """

    service: Annotated[str, Meta(min_length=1, max_length=200)]
    kind: ChangeKind
    version: Name = ""
    reason: AskedReason = "normal"


class OverridesAsked(Struct):
    """Newest first, also those that are over."""

    service: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class Overrides(Struct):
    """Of one service, or of all."""

    overrides: list[Override]


class GateHandler(ApiHandler):
    """/api/v1/gate"""

    @operation("May this change go out now?", scope="read", query=GateAsked, returns=GateAnswer, errors=("NOT_FOUND",))
    async def get(self) -> None:
        """200 whatever the answer is: allow, deny or unknown. 404 where nothing was ever heard of the service."""
        asked = self.query(GateAsked)
        question = Question(asked.service, asked.kind, asked.version, asked.reason)
        self.reply(await ask(self.parts, question, shared_clock.now()))


class OverridesHandler(ApiHandler):
    """/api/v1/gate/overrides"""

    @operation("Overrides of the gate", scope="read", query=OverridesAsked, returns=Overrides)
    async def get(self) -> None:
        asked = self.query(OverridesAsked)
        async with self.parts.db.ask() as connection:
            self.reply(Overrides(await store.listed(connection, asked.service, asked.limit)))

    @operation(
        "Lift the gate for a while",
        scope="act",
        body=OverrideAsked,
        of_service=True,
        returns=Overridden,
        status=201,
        also=(200,),
        errors=("NOT_FOUND",),
    )
    async def post(self) -> None:
        """200 where one that lasts as long is in force already."""
        asked = self.body(OverrideAsked)
        self.for_service(asked.service)
        assert self.identity is not None
        done = await overrides.override(self.parts, self.identity, asked, self.request_id)
        self.reply(done, 200 if done.already else 201)


class OverrideRevokeHandler(ApiHandler):
    """/api/v1/gate/overrides/{override_id}/revoke"""

    @operation("Let the gate hold again", scope="act", returns=Overridden, errors=("NOT_FOUND",))
    async def post(self, override_id: str) -> None:
        number = number_in(override_id)
        if number is None:
            raise ApiError("NOT_FOUND", f"There is no override {override_id[:40]}.")
        assert self.identity is not None
        self.reply(await overrides.revoke(self.parts, self.identity, number, self.request_id))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/gate", GateHandler),
    Route("/api/v1/gate/overrides", OverridesHandler),
    Route("/api/v1/gate/overrides/{override_id}/revoke", OverrideRevokeHandler),
)
