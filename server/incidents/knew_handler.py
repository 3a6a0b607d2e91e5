"""What was known at a moment of an incident, for tools."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.alerts.words import failing
from server.http.operation import operation
from server.http.route import Route
from server.http.shown import answered
from server.incidents.answers import LineAnswer, TaskAnswer, line_answer
from server.incidents.handlers import IncidentHandler, numbered
from server.incidents.knew import Knew, knew
from server.kernel import shared_clock
from server.kernel.times import Instant, InstantText, instant, utc
from server.live.answers import SummaryRow
from server.live.service import LiveService
from server.slo.api.answers import StatusAnswer, status_answer


class KnewAsked(Struct):
    """`at`: RFC 3339; left out: the last moment that is kept."""

    at: Annotated[InstantText, Meta(description="RFC 3339; left out: the last that is kept.")] | None = None


class ServiceThen(SummaryRow):
    """A service in the last 60 s of then. `silent_s`: it used to send and had stopped for so long."""

    partial: bool
    silent_s: int | None


class AlertThen(Struct):
    """An alert that was open then, and what failed."""

    id: int
    service: str
    objective: str
    severity: int
    urgency: str
    state: str
    onset: Instant
    text: str


class KnewAnswer(Struct):
    """The picture of `at`, the last one up to the moment that was asked for; they are kept each 5 s from `first` to
    `last`. `state` and `severity` are the incident's then, null where it was not open."""

    incident_id: int
    at: Instant
    first: Instant
    last: Instant
    state: str | None
    severity: int | None
    commander: str
    services: list[ServiceThen]
    objectives: list[StatusAnswer]
    alerts: list[AlertThen]
    tasks: list[TaskAnswer]
    timeline: list[LineAnswer]  # up to then, newest first


class PictureHandler(IncidentHandler):
    @operation(
        "What was known at a moment of an incident",
        scope="read",
        query=KnewAsked,
        returns=KnewAnswer,
        errors=("NOT_FOUND", "INVALID"),
    )
    async def get(self, incident_id: str) -> None:
        """The picture that was kept, and the timeline up to it. 404 where nothing is kept of that time."""
        asked = self.query(KnewAsked).at
        at = None if asked is None else instant("at", asked).timestamp()
        async with self.parts.db.ask() as connection:
            found = await knew(connection, numbered(incident_id), at, shared_clock.now())
        self.reply(knew_answer(found))


def knew_answer(found: Knew) -> KnewAnswer:
    """What was known, as the API tells it."""
    picture, then = found.picture, found.then
    return KnewAnswer(
        incident_id=found.incident.id,
        at=utc(picture.at),
        first=utc(found.kept.first),
        last=utc(found.kept.last),
        state=then.state if then else None,
        severity=then.severity if then else None,
        commander=found.commander,
        services=[service_then(one) for one in picture.services],
        objectives=[status_answer(one) for one in (picture.slo.objectives if picture.slo else ())],
        alerts=[
            AlertThen(a.id, a.service, a.objective, a.severity, a.urgency, a.state, utc(a.began), failing(a))
            for a in picture.alerts
            if a.state != "resolved"
        ],
        tasks=[answered(task, TaskAnswer) for task in found.tasks],
        timeline=[line_answer(line) for line in found.lines],
    )


def service_then(one: LiveService) -> ServiceThen:
    """A service, as the API tells it."""
    ratio = one.bad / one.n if one.n else None
    return ServiceThen(
        one.name, one.n, one.bad, ratio, one.n / 60, one.p50_ms, one.p95_ms, one.p99_ms, one.partial, one.silent_s
    )


ROUTES: tuple[Route, ...] = (Route("/api/v1/incidents/{incident_id}/picture", PictureHandler),)
