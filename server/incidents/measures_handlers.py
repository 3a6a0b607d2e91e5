"""The addresses of what incidents come to: their measures, and the backlog of preventive actions."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.http.shown import answered
from server.incidents import measures_store
from server.incidents.answers import PreventiveActionAnswer
from server.incidents.incident import CauseClass
from server.incidents.measures import BacklogAction, CauseSpent, Measures, backlog, by_month, of_quarter
from server.kernel import shared_clock

DAY_S = 86_400
ACTIONS_MAX = 500


class MeasuresAsked(Struct):
    """Of the incidents detected in the last `days`, of one service or of all."""

    days: Annotated[int, Meta(ge=1, le=400)] = 365
    service: str | None = None


class IncidentMeasuresAnswer(Struct):
    """A row a UTC month and severity, newest first; and a row a severity of the last 90 days. Lengths are from the
    onset; what was declined, merged or a drill is in none."""

    months: list[Measures]
    quarter: list[Measures]


class ActionsAsked(Struct):
    """Those that are open, or those that are done too; of one service or of all."""

    state: Literal["open", "all"] = "open"
    service: str | None = None


class BacklogActionAnswer(Struct):
    """A preventive action, the incident that it is of, and that one's cause class."""

    action: PreventiveActionAnswer
    overdue: bool
    incident_id: int
    incident_title: str
    service: str
    severity: int
    cause_class: CauseClass


class ActionsAnswer(Struct):
    """What is overdue first, then by what their cause class has spent; `causes` says what each has, in whole budgets
    of objectives over the last 90 days. At most 500 actions."""

    actions: list[BacklogActionAnswer]
    causes: list[CauseSpent]


class IncidentMeasuresHandler(ApiHandler):
    @operation(
        "Times to detect, acknowledge, mitigate and recover: medians and quartiles by severity and month",
        scope="read",
        query=MeasuresAsked,
        returns=IncidentMeasuresAnswer,
    )
    async def get(self) -> None:
        asked, now = self.query(MeasuresAsked), shared_clock.now()
        async with self.parts.db.ask() as connection:
            found = await measures_store.measured(connection, now - max(asked.days, 90) * DAY_S, asked.service)
        within = [one for one in found if one.detected_at >= now - asked.days * DAY_S]
        self.reply(IncidentMeasuresAnswer(by_month(within), of_quarter(found, now)))


class ActionsHandler(ApiHandler):
    @operation("The backlog of preventive actions", scope="read", query=ActionsAsked, returns=ActionsAnswer)
    async def get(self) -> None:
        asked, now = self.query(ActionsAsked), shared_clock.now()
        async with self.parts.db.ask() as connection:
            open_only = asked.state == "open"
            found = await measures_store.actions(
                connection, open_only=open_only, service=asked.service, most=ACTIONS_MAX
            )
            causes = await measures_store.causes(connection, now, asked.service)
        shown = [backlog_answer(one, now) for one in backlog(found, causes, now)]
        self.reply(ActionsAnswer(shown, causes))


def backlog_answer(one: BacklogAction, now: float) -> BacklogActionAnswer:
    """One action as the API tells it."""
    action = one.action
    return BacklogActionAnswer(
        answered(action, PreventiveActionAnswer),
        action.done_at is None and action.due_at < now,
        action.incident_id,
        one.title,
        one.service,
        one.severity,
        one.cause_class,
    )


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/incidents/measures", IncidentMeasuresHandler),
    Route("/api/v1/actions", ActionsHandler),
)
