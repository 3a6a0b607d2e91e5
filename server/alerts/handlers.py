"""The alerts' addresses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from server.alerts import acts, silence_store, store
from server.alerts.answers import (
    AcknowledgedAnswer,
    AlertDetail,
    AlertsAnswer,
    MeasuresAnswer,
    SilencedAnswer,
    SilencesAnswer,
    alert_answer,
    detail_answer,
    measures_answer,
    silence_answer,
)
from server.alerts.matcher import Matcher
from server.alerts.store import State
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.ids import number_in

DAY_S = 86_400
MEASURED_DAYS = 30
ENDED_SHOWN = 50


class AlertsAsked(Struct):
    """Newest first. `before` is the id of the last alert already seen."""

    state: State = "open"
    service: str | None = None
    objective: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class SilenceAsked(Struct, forbid_unknown_fields=True):
    """What is silenced, left out: any, for how long, and why. An alert is silenced that all of it matches.

    `matchers` are Alertmanager's: a label (`service`, `objective`, `severity` 1 to 3, `urgency` page or ticket, `kind`
    availability or latency), an operator (`=`, `!=`, `=~`, `!~`) and a value. A regular expression is the whole of the
    value, in RE2's syntax.
    """

    minutes: int
    reason: str
    service: str = ""
    objective: str = ""
    matchers: list[Matcher] = []


class AlertsHandler(ApiHandler):
    @operation("Alerts, newest first: those that are open", scope="read", query=AlertsAsked, returns=AlertsAnswer)
    async def get(self) -> None:
        asked = self.query(AlertsAsked)
        async with self.parts.db.ask() as connection:
            found = await store.listed(
                connection,
                asked.state,
                service=asked.service,
                objective=asked.objective,
                before=asked.before,
                limit=asked.limit + 1,
            )
            shown = found[: asked.limit]
            outages = await store.outages(connection, [alert.id for alert in shown])
        more = shown[-1].id if len(found) > asked.limit else None
        self.reply(AlertsAnswer([alert_answer(alert, outages[alert.id]) for alert in shown], more))


class AlertHandler(ApiHandler):
    @operation("One alert and its timeline", scope="read", returns=AlertDetail, errors=("NOT_FOUND",))
    async def get(self, alert_id: str) -> None:
        number = numbered(alert_id)
        async with self.parts.db.ask() as connection:
            alert = await store.one(connection, number)
            if alert is None:
                raise ApiError("NOT_FOUND", f"There is no alert {number}; GET /api/v1/alerts lists them.")
            outages = await store.outages(connection, [number])
            self.reply(detail_answer(alert, outages[number], await store.timeline(connection, number)))


class AcknowledgeHandler(ApiHandler):
    @operation(
        "Acknowledge an alert: nobody else is told of this firing",
        scope="act",
        returns=AcknowledgedAnswer,
        errors=("NOT_FOUND", "CONFLICT"),
    )
    async def post(self, alert_id: str) -> None:
        """A repeat answers who did it and when, and changes nothing."""
        assert self.identity is not None
        done = await acts.acknowledge(self.parts, numbered(alert_id), self.identity.actor, self.request_id)
        async with self.parts.db.ask() as connection:
            outages = await store.outages(connection, [done.alert.id])
        self.reply(AcknowledgedAnswer(alert_answer(done.alert, outages[done.alert.id]), done.already, done.message))


class MeasuresHandler(ApiHandler):
    @operation(
        "Mean times to detect, notify, acknowledge and resolve, over every outage", scope="read", returns=MeasuresAnswer
    )
    async def get(self) -> None:
        async with self.parts.db.ask() as connection:
            row = await store.measures(connection, shared_clock.now() - MEASURED_DAYS * DAY_S)
        self.reply(measures_answer(row, MEASURED_DAYS))


class SilencesHandler(ApiHandler):
    @operation("Silences in force, and the newest that have ended", scope="read", returns=SilencesAnswer)
    async def get(self) -> None:
        now = shared_clock.now()
        async with self.parts.db.ask() as connection:
            active = await silence_store.active(connection, now)
            ended = await silence_store.past(connection, now, ENDED_SHOWN)
        self.reply(SilencesAnswer([silence_answer(one) for one in active], [silence_answer(one) for one in ended]))

    @operation(
        "Silence alerts by service, objective or matchers: they are shown, nobody is told",
        scope="act",
        body=SilenceAsked,
        returns=SilencedAnswer,
        status=201,
        also=(200,),
    )
    async def post(self) -> None:
        """From 1 to 43200 minutes. A repeat within 10 s answers 200 with the first."""
        asked = self.body(SilenceAsked)
        assert self.identity is not None
        done = await acts.silence(
            self.parts,
            service=asked.service,
            objective=asked.objective,
            matchers=asked.matchers,
            minutes=asked.minutes,
            reason=asked.reason,
            by=self.identity.actor,
            request_id=self.request_id,
        )
        answer = SilencedAnswer(silence_answer(done.silence), done.already, done.message)
        self.reply(answer, 200 if done.already else None)


class EndHandler(ApiHandler):
    @operation("End a silence: what still fires is told", scope="act", returns=SilencedAnswer, errors=("NOT_FOUND",))
    async def post(self, silence_id: str) -> None:
        """A repeat answers who did it and when, and changes nothing."""
        assert self.identity is not None
        number = numbered(silence_id)
        done = await acts.end_silence(self.parts, number, self.identity.actor, self.request_id)
        self.reply(SilencedAnswer(silence_answer(done.silence), done.already, done.message))


def numbered(text: str) -> int:
    """An id in an address; what is none is not there."""
    number = number_in(text)
    if number is None:
        raise ApiError("NOT_FOUND", f"{text[:40]} is not a number; the lists have the numbers. Nothing was done.")
    return number


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/alerts", AlertsHandler),
    Route("/api/v1/alerts/measures", MeasuresHandler),
    Route("/api/v1/alerts/{alert_id}", AlertHandler),
    Route("/api/v1/alerts/{alert_id}/acknowledge", AcknowledgeHandler),
    Route("/api/v1/silences", SilencesHandler),
    Route("/api/v1/silences/{silence_id}/end", EndHandler),
)
