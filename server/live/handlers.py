"""The query API: services, summaries, series, outcomes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from server.http.handler import ApiHandler
from server.http.operation import operation
from server.http.route import Route
from server.kernel import shared_clock
from server.kernel.times import InstantText, instant
from server.live import outcomes, questions, telemetry_store
from server.live.answers import Group, Metric, Outcomes, SeriesAnswer, ServiceRow, Services, TrafficSummary
from server.live.carrying import carrying
from server.live.outcome_store import Filter
from server.live.ranges import asked_range, asked_step, asked_window_s, default_step
from server.parts import Parts

Text = Annotated[str, Meta(max_length=1000)]


class SummaryQuery(Struct):
    """`window`: 1s to 400d, ending now; beyond 15 minutes it begins at a whole minute, beyond 7 days at an hour."""

    window: str = "5m"
    group_by: Group | None = None


class SeriesQuery(Struct):
    """`from` and `to`: RFC 3339, by default the last hour; `step` in whole seconds."""

    metric: Metric
    start: InstantText | None = field(default=None, name="from")
    stop: InstantText | None = field(default=None, name="to")
    step: Annotated[int, Meta(ge=1, le=86400)] | None = None


class OutcomesQuery(Struct):
    """`request_id`, which may be a trace id, alone, or any of the others; `cursor` is the `next` of the page before."""

    request_id: Text | None = None
    service: Text | None = None
    route: Text | None = None
    status: Annotated[int, Meta(ge=0, le=999)] | None = None
    start: InstantText | None = field(default=None, name="from")
    stop: InstantText | None = field(default=None, name="to")
    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: Annotated[str, Meta(max_length=1000)] | None = None


class ServicesHandler(ApiHandler):
    @operation("Every service and its last 5 minutes", scope="read", returns=Services)
    async def get(self) -> None:
        self.reply(Services(await every_service(self.parts)))


class SummaryHandler(ApiHandler):
    @operation(
        "Volume, error ratio, rate and latency of a service over a window that ends now",
        scope="read",
        query=SummaryQuery,
        returns=TrafficSummary,
        errors=("NOT_FOUND", "INVALID"),
    )
    async def get(self, service: str) -> None:
        self.reply(await summary_of(self.parts, service, self.query(SummaryQuery)))


class SeriesHandler(ApiHandler):
    @operation(
        "One metric of a service over time",
        scope="read",
        query=SeriesQuery,
        returns=SeriesAnswer,
        errors=("NOT_FOUND", "INVALID"),
    )
    async def get(self, service: str) -> None:
        query, now = self.query(SeriesQuery), shared_clock.now()
        start, stop = asked_range(query.start, query.stop, now)
        step = asked_step(query.step, default_step(stop - start), stop - start)
        async with self.parts.db.ask() as connection:
            await questions.require(connection, service)
            self.reply(await questions.series(connection, service, query.metric, start, stop, step_s=step, now=now))


class OutcomesHandler(ApiHandler):
    """GET of the address that ingest shares; server/routes.py puts the two together."""

    @operation(
        "Raw outcomes, newest first",
        scope="read",
        query=OutcomesQuery,
        returns=Outcomes,
        errors=("INVALID",),
    )
    async def get(self) -> None:
        query = self.query(OutcomesQuery)
        if query.request_id is not None:
            self.reply(await request_of(self.parts, query.request_id))
            return
        db = self.parts.db
        async with db.ask() as connection, db.rows_beside(connection) as rows:
            self.reply(await outcomes.outcomes(connection, wanted(query), query.cursor, query.limit, rows))


async def every_service(parts: Parts) -> list[ServiceRow]:
    """Every service by name, with what the live picture says of its senders' clocks."""
    async with parts.db.ask() as connection:
        rows = await questions.services(connection, shared_clock.now())
    for row in rows:
        found = parts.relay.service(row.name)
        row.clock_ahead_s = found.clock_ahead_s if found else 0.0
    return rows


async def summary_of(parts: Parts, service: str, query: SummaryQuery) -> TrafficSummary:
    """A service over a window, with whether the live picture says that some of its items are refused. ApiError
    NOT_FOUND, INVALID."""
    seconds = asked_window_s(query.window)
    async with parts.db.ask() as connection:
        await questions.require(connection, service)
        answer = await questions.whole_summary(connection, service, seconds, shared_clock.now(), query.group_by)
        exact = await telemetry_store.exact(connection, service)
    answer.estimated, answer.latency_error = exact.estimated, exact.latency_error
    found = parts.relay.service(service)
    answer.window, answer.partial = query.window, found is not None and found.partial
    return answer


async def request_of(parts: Parts, request_id: str) -> Outcomes:
    """What carries a request id or a trace id: outcomes and log lines."""
    async with parts.db.ask() as connection, parts.db.rows_beside(connection) as rows:
        hours = parts.env.log_retention_hours
        found = await carrying(connection, rows, request_id, shared_clock.now(), hours)
    return Outcomes(found.outcomes, None, found.lines)


def wanted(query: OutcomesQuery) -> Filter:
    """The query's conditions; ApiError 422 for a time that is none."""
    start = None if query.start is None else instant("from", query.start)
    stop = None if query.stop is None else instant("to", query.stop)
    return Filter(query.service, query.route, query.status, start, stop)


ROUTES = (
    Route("/api/v1/services", ServicesHandler),
    Route("/api/v1/services/{service}/summary", SummaryHandler),
    Route("/api/v1/services/{service}/series", SeriesHandler),
)
