"""HTTP of the objectives and the exclusions."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import number_in
from server.kernel.times import InstantText
from server.slo.api import answers
from server.slo.api.answers import BudgetAnswer, ObjectiveAnswer, ObjectivesAnswer
from server.slo.ledger import exclusions, recount_store, spans
from server.slo.ledger.exclusion import Exclusion, ExclusionAsked, ExclusionSaved
from server.slo.ledger.past import Past, past
from server.slo.ledger.recount_store import Exactness
from server.slo.model.objective import Objective
from server.slo.policy.prometheus import pieces

YAML = "application/yaml"


class BudgetQuery(msgspec.Struct):
    """`window`: 5m to 400d, ending now; by default the objective's own. It begins at a whole minute, beyond 28d
    at a whole hour. Or `month`, a calendar month in UTC: 2026-11. Or `from` and `to` (now, if left out), widened to
    whole minutes, or to whole hours where `from` is more than 34 days ago."""

    window: Annotated[str, msgspec.Meta(max_length=10)] = ""
    month: Annotated[str, msgspec.Meta(max_length=10)] = ""
    from_: InstantText = msgspec.field(default="", name="from")
    to: InstantText = ""

    def span(self, now: float) -> spans.Span | None:
        """The month or the span that is asked for; None: a window. ApiError INVALID."""
        given = [name for name, value in (("month", self.month), ("from", self.from_ or self.to)) if value]
        if len(given) + bool(self.window) > 1:
            raise invalid(given[-1], "stands for itself: give one of window, month, or from and to")
        if self.month:
            return spans.month_span(self.month, now)
        return spans.asked_span(self.from_, self.to, now) if given else None


class SloHandler(ApiHandler):
    """What the three share."""

    def objective(self, name: str) -> Objective:
        """The objective of a name; 404 otherwise."""
        found = self.parts.policies.objective(name)
        if found is None:
            raise ApiError("NOT_FOUND", f"There is no objective {name}; GET /api/v1/slos lists them.")
        return found

    async def exactness(self, *objectives: Objective) -> dict[int, Exactness]:
        """How far back each ledger is exact, by its number."""
        async with self.parts.db.ask() as connection:
            return await recount_store.exactness(connection, [each.id for each in objectives], shared_clock.now())


class ObjectivesHandler(SloHandler):
    @operation("Every objective, the worst first", scope="read", returns=ObjectivesAnswer)
    async def get(self) -> None:
        # Others may be in force after a wait.
        number, held = self.parts.policies.number, self.parts.policies.of_production
        self.reply(answers.objectives(number, held, self.parts.relay.status, await self.exactness(*held)))


class ObjectiveHandler(SloHandler):
    @operation("One objective", scope="read", returns=ObjectiveAnswer, errors=("NOT_FOUND",))
    async def get(self, name: str) -> None:
        found = self.objective(name)
        self.reply(answers.objective(found, self.parts.relay.status, await self.exactness(found)))


class RulesHandler(SloHandler):
    @operation(
        "The objectives as recording and alerting rules for Prometheus",
        scope="read",
        returns=dict[str, Any],
        media=YAML,
    )
    async def get(self) -> None:
        self.set_header("Content-Type", YAML)
        for piece in pieces(self.parts.policies.of_production):
            self.write(piece)
            await self.flush()
            await asyncio.sleep(0)


class BudgetHandler(SloHandler):
    @operation(
        "An objective's exact counts, budget and burn rate over a window, up to the last acknowledged outcome",
        scope="read",
        query=BudgetQuery,
        returns=BudgetAnswer,
        errors=("NOT_FOUND",),
    )
    async def get(self, name: str) -> None:
        objective, query, now = self.objective(name), self.query(BudgetQuery), shared_clock.now()
        span = query.span(now)
        window_s = answers.window_s(query.window) if query.window else None
        async with self.parts.db.ask() as connection:
            if span is not None:
                self.reply(await answers.span_budget(connection, objective, span, now))
            elif window_s is not None:
                self.reply(await answers.budget(connection, objective, window_s, now))
            else:
                self.reply(await answers.own_budget(connection, objective, now))


class HistoryHandler(SloHandler):
    @operation(
        "An objective's budget over its window by the hour, what spent most of it, and its calendar months",
        scope="read",
        returns=Past,
        errors=("NOT_FOUND",),
    )
    async def get(self, name: str) -> None:
        async with self.parts.db.ask() as connection:
            self.reply(await past(connection, self.objective(name), shared_clock.now()))


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
            self.reply(Exclusions(await exclusions.listed(connection, service, shared_clock.now())))

    @operation(
        "Take time out of the budgets of a service: maintenance, a load test",
        scope="act",
        body=ExclusionAsked,
        of_service=True,
        returns=ExclusionSaved,
        errors=("INVALID",),
    )
    async def post(self) -> None:
        """[start, stop) is widened to whole minutes; past, running or to come. Its sum is capped by policy."""
        assert self.identity is not None
        asked, now = self.body(ExclusionAsked), shared_clock.now()
        self.for_service(asked.service)
        actor, request_id = self.identity.actor, self.request_id
        self.reply(
            await exclusions.make(
                self.parts.db, self.parts.policies, asked, actor=actor, request_id=request_id, now=now
            )
        )


class ExclusionRevokeHandler(ApiHandler):
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
        actor, request_id = self.identity.actor, self.request_id
        self.reply(
            await exclusions.revoke(
                self.parts.db,
                self.parts.policies,
                exclusion_id,
                actor=actor,
                request_id=request_id,
                now=shared_clock.now(),
            )
        )


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/slos", ObjectivesHandler),
    Route("/api/v1/slos/rules", RulesHandler),
    Route("/api/v1/slos/{name}", ObjectiveHandler),
    Route("/api/v1/slos/{name}/budget", BudgetHandler),
    Route("/api/v1/slos/{name}/history", HistoryHandler),
    Route("/api/v1/exclusions", ExclusionsHandler),
    Route("/api/v1/exclusions/{number}/revoke", ExclusionRevokeHandler),
)
