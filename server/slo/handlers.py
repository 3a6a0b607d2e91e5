"""The objectives' addresses."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec

from server.errors import ApiError
from server.handler import ApiHandler
from server.operation import operation
from server.route import Route
from server.slo import report
from server.slo.objective import Objective
from server.slo.report import BudgetAnswer, ObjectiveAnswer, ObjectivesAnswer


class BudgetQuery(msgspec.Struct):
    """`window`: 5m to 400d, ending now; by default the objective's own. It begins at a whole minute, beyond 28d
    at a whole hour."""

    window: Annotated[str, msgspec.Meta(max_length=10)] = ""


class SloHandler(ApiHandler):
    """What the three share."""

    def objective(self, name: str) -> Objective:
        """The objective of a name; 404 otherwise."""
        found = self.parts.policies.objective(name)
        if found is None:
            raise ApiError("NOT_FOUND", f"There is no objective {name}; GET /api/v1/slos lists them.")
        return found


class ObjectivesHandler(SloHandler):
    @operation("Every objective, the worst first", scope="read", returns=ObjectivesAnswer)
    async def get(self) -> None:
        self.reply(report.objectives(self.parts.policies, self.parts.relay.picture))


class ObjectiveHandler(SloHandler):
    @operation("One objective", scope="read", returns=ObjectiveAnswer, errors=("NOT_FOUND",))
    async def get(self, name: str) -> None:
        self.reply(report.objective(self.objective(name), self.parts.relay.picture))


class BudgetHandler(SloHandler):
    @operation(
        "An objective's exact counts, budget and burn rate over a window, up to the last acknowledged outcome",
        scope="read",
        query=BudgetQuery,
        returns=BudgetAnswer,
        errors=("NOT_FOUND",),
    )
    async def get(self, name: str) -> None:
        objective = self.objective(name)
        window_s = report.window_s(self.query(BudgetQuery).window, objective)
        async with self.parts.db.ask() as connection:
            self.reply(await report.budget(connection, objective, window_s, time.time()))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/slos", ObjectivesHandler),
    Route("/api/v1/slos/{name}", ObjectiveHandler),
    Route("/api/v1/slos/{name}/budget", BudgetHandler),
)
