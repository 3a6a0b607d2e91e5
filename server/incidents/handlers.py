"""The incidents' addresses."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from server.alerts import store as alerts_store
from server.changes.targets import deploy_facts
from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.http.shown import answered
from server.incidents import measures_store, store
from server.incidents.act import IncidentAct, Press, Severity, ShortText
from server.incidents.acting import Acted, act, alerts_of, declare, room_of, tally_of
from server.incidents.acts import AnyAct
from server.incidents.answers import (
    ActedAnswer,
    IncidentDetail,
    IncidentsAnswer,
    StepsAnswer,
    TaskAnswer,
    TimelineAnswer,
    acted_answer,
    detail_answer,
    incident_answer,
    line_answer,
    step_answer,
)
from server.incidents.ending import ending_of
from server.incidents.proof import proof
from server.incidents.regroup import merge, split
from server.incidents.report import IncidentReport, markdown
from server.incidents.report_html import html
from server.incidents.reporting import read_report
from server.incidents.similar import similar
from server.incidents.steps import able, standing
from server.incidents.timeline_store import LINES_MAX, timeline
from server.kernel import shared_clock
from server.kernel.errors import ApiError, invalid
from server.kernel.ids import number_in
from server.parts import Parts
from server.signals import store as signals_store
from server.signals.answers import signal_answer

KEY_MAX = 200
SIGNALS_MOST = 200  # of an incident, those that fire first
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"  # its style stands in it


class IncidentsAsked(Struct):
    """Newest first. `before` is the id of the last incident already seen."""

    state: Annotated[str, Meta(pattern="^(open|all)$")] = "open"
    service: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class Declared(Struct, forbid_unknown_fields=True):
    """What a person declares: what is wrong, and where. Severity 2 where nobody knows: in doubt the higher."""

    title: ShortText
    service: Annotated[str, Meta(max_length=200)] = ""
    severity: Severity = 2


class Merged(Struct, forbid_unknown_fields=True):
    """The incident that stays."""

    into: Annotated[int, Meta(ge=1, le=2**63 - 1)]


class SplitOff(Struct, forbid_unknown_fields=True):
    """The alerts that are of another trouble."""

    alerts: Annotated[list[Annotated[int, Meta(ge=1, le=2**63 - 1)]], Meta(min_length=1, max_length=500)]


class TimelineAsked(Struct):
    """At most so many lines."""

    limit: Annotated[int, Meta(ge=1, le=LINES_MAX)] = LINES_MAX


class ReportAsked(Struct):
    """`format`: md (text/markdown), html (one file that needs nothing else) or json. `public`: without names and
    internals."""

    format: Literal["md", "html", "json"] = "json"
    public: bool = False


class TasksAnswer(Struct):
    """Those that are open first, the one that is due first before the others."""

    tasks: list[TaskAnswer]


class IncidentHandler(ApiHandler):
    """What the addresses of one incident share."""

    @property
    def press(self) -> Press:
        """Who acts, and under which Idempotency-Key; ApiError INVALID where that is too long."""
        assert self.identity is not None
        key = self.request.headers.get("Idempotency-Key", "")
        if len(key) > KEY_MAX or not key.isprintable():
            raise invalid("Idempotency-Key", f"has at most {KEY_MAX} characters that can be shown")
        return Press(self.identity.actor, self.request_id, key or None)

    def done(self, acted: Acted) -> None:
        """Answer what came of an act."""
        self.reply(acted_answer(acted), 200 if acted.already else None)


class IncidentsHandler(IncidentHandler):
    @operation(
        "Incidents, newest first: those that are open", scope="read", query=IncidentsAsked, returns=IncidentsAnswer
    )
    async def get(self) -> None:
        self.reply(await incidents_of(self.parts, self.query(IncidentsAsked)))

    @operation("Declare an incident", scope="act", body=Declared, returns=ActedAnswer, status=201, also=(200,))
    async def post(self) -> None:
        """Who declares it commands it. The same by the same person within 30 s answers 200 with the first."""
        asked = self.body(Declared)
        self.done(await declare(self.parts, asked.title, asked.service, asked.severity, self.press))


class OneIncidentHandler(IncidentHandler):
    @operation("One incident with all that is in it", scope="read", returns=IncidentDetail, errors=("NOT_FOUND",))
    async def get(self, incident_id: str) -> None:
        self.reply(await detail_of(self.parts, numbered(incident_id)))


class ActsHandler(IncidentHandler):
    @operation(
        "Act in an incident",
        scope="act",
        body=AnyAct,
        returns=ActedAnswer,
        headers=("Idempotency-Key",),
        errors=("NOT_FOUND", "CONFLICT"),
    )
    async def post(self, incident_id: str) -> None:
        """`act` says which. What is sent again under the same Idempotency-Key changes nothing."""
        asked: IncidentAct = self.body(AnyAct)  # type: ignore[arg-type]
        self.done(await act(self.parts, numbered(incident_id), asked, self.press))


class MergeHandler(IncidentHandler):
    @operation(
        "Merge an incident into another",
        scope="act",
        body=Merged,
        returns=ActedAnswer,
        errors=("NOT_FOUND", "CONFLICT"),
    )
    async def post(self, incident_id: str) -> None:
        """Its alerts move; it is closed, and in no measure."""
        into = self.body(Merged).into
        self.done(await merge(self.parts, numbered(incident_id), into, self.press))


class SplitHandler(IncidentHandler):
    @operation(
        "Split alerts off into an incident of their own",
        scope="act",
        body=SplitOff,
        returns=ActedAnswer,
        status=201,
        errors=("NOT_FOUND", "CONFLICT"),
    )
    async def post(self, incident_id: str) -> None:
        """Answers the new incident."""
        alerts = self.body(SplitOff).alerts
        self.done(await split(self.parts, numbered(incident_id), alerts, self.press))


class TimelineHandler(IncidentHandler):
    @operation(
        "What happened, newest first: entries, alerts, changes",
        scope="read",
        query=TimelineAsked,
        returns=TimelineAnswer,
        errors=("NOT_FOUND",),
    )
    async def get(self, incident_id: str) -> None:
        asked = self.query(TimelineAsked)
        self.reply(await timeline_of(self.parts, numbered(incident_id), asked.limit))


class StepsHandler(IncidentHandler):
    @operation("Its steps of the runbook, in order", scope="read", returns=StepsAnswer, errors=("NOT_FOUND",))
    async def get(self, incident_id: str) -> None:
        async with self.parts.db.ask() as connection:
            room = await room_of(connection, numbered(incident_id))
            alerts = await alerts_of(connection, room)
            service = room.incident.service
            deploys = await deploy_facts(connection, service) if service else None
        steps = standing(await self.parts.runbook.current(), room, alerts, able(self.parts, alerts, deploys))
        self.reply(StepsAnswer([step_answer(one) for one in steps], self.parts.runbook.problem or ""))


class TasksHandler(IncidentHandler):
    @operation("Its tasks, those that are due first", scope="read", returns=TasksAnswer, errors=("NOT_FOUND",))
    async def get(self, incident_id: str) -> None:
        async with self.parts.db.ask() as connection:
            room = await room_of(connection, numbered(incident_id))
        tasks = sorted(room.tasks, key=lambda task: (task.done_at is not None, task.due_at))
        self.reply(TasksAnswer([answered(task, TaskAnswer) for task in tasks]))


async def incidents_of(parts: Parts, asked: IncidentsAsked) -> IncidentsAnswer:
    """One page of incidents."""
    async with parts.db.ask() as connection:
        found = await store.listed(
            connection,
            open_only=asked.state == "open",
            service=asked.service,
            before=asked.before,
            limit=asked.limit + 1,
        )
    shown = found[: asked.limit]
    more = shown[-1].id if len(found) > asked.limit else None
    return IncidentsAnswer([incident_answer(one) for one in shown], more)


async def detail_of(parts: Parts, number: int) -> IncidentDetail:
    """One incident with all that is in it; ApiError NOT_FOUND."""
    now = shared_clock.now()
    async with parts.db.ask() as connection:
        room = await room_of(connection, number)
        alerts = await alerts_of(connection, room)
        outages = await alerts_store.outages(connection, [alert.id for alert in alerts])
        alike = similar(room.incident, await measures_store.past(connection, room.incident))
        tally = await tally_of(parts, connection, number, now)
        told = await signals_store.of_incident(connection, number, SIGNALS_MOST)
    found = proof(ending_of(room.incident, alerts, parts.relay.picture, tally), now)
    shown = [signal_answer(one, now, parts.policies.budget_policy.signals) for one in told]
    return detail_answer(room, alerts, outages, shown, alike, found, now)


async def timeline_of(parts: Parts, number: int, limit: int) -> TimelineAnswer:
    """The newest lines of an incident's timeline; ApiError NOT_FOUND."""
    async with parts.db.ask() as connection:
        room = await room_of(connection, number)
        services = (await store.services(connection, [number])).get(number, set())
        lines = await timeline(connection, room.incident, services, shared_clock.now(), limit)
    return TimelineAnswer([line_answer(line) for line in lines])


def numbered(text: str) -> int:
    """An id in an address; what is none is not there."""
    number = number_in(text)
    if number is None:
        raise ApiError("NOT_FOUND", f"{text[:40]} is not a number; GET /api/v1/incidents has the numbers.")
    return number


class IncidentReportHandler(IncidentHandler):
    @operation(
        "The report of an incident, as it is known now",
        scope="read",
        query=ReportAsked,
        returns=IncidentReport,
        errors=("NOT_FOUND",),
    )
    async def get(self, incident_id: str) -> None:
        asked, now = self.query(ReportAsked), shared_clock.now()
        found, values = await read_report(self.parts, numbered(incident_id), now, public=asked.public)
        if asked.format == "json":
            self.reply(found)
        elif asked.format == "md":
            self.set_header("Content-Type", "text/markdown; charset=utf-8")
            self.write(markdown(found))
        else:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Content-Security-Policy", REPORT_POLICY)
            self.write(html(found, values))


ROUTES: tuple[Route, ...] = (
    Route("/api/v1/incidents", IncidentsHandler),
    Route("/api/v1/incidents/{incident_id}", OneIncidentHandler),
    Route("/api/v1/incidents/{incident_id}/acts", ActsHandler),
    Route("/api/v1/incidents/{incident_id}/merge", MergeHandler),
    Route("/api/v1/incidents/{incident_id}/report", IncidentReportHandler),
    Route("/api/v1/incidents/{incident_id}/split", SplitHandler),
    Route("/api/v1/incidents/{incident_id}/steps", StepsHandler),
    Route("/api/v1/incidents/{incident_id}/tasks", TasksHandler),
    Route("/api/v1/incidents/{incident_id}/timeline", TimelineHandler),
)
