"""Service: one service over the last 15 minutes to 7 days, by route and version, and what its senders were refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec import Struct

from dashboard.changes.page import LETTERS
from dashboard.now.cards import where
from dashboard.now.headline import describe, refused
from dashboard.now.rows import LiveRow, service_rows
from dashboard.service.ship import ShipView, ship_view
from dashboard.shared.failing import FAILING
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.looks import PageState
from dashboard.shared.memo import Memos
from dashboard.shared.page import Page
from dashboard.shared.recovery import beside_alerts
from server.changes import store as changes
from server.changes.store import Change
from server.ingest.tally import SLOT_S
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.live import questions, refusals_store
from server.live.answers import SeriesPoint, SummaryRow
from server.live.line_store import ServiceLines, service_lines
from server.live.outcomes import FailingRequests
from server.live.refusals import UNSEEN, IntakeRow
from server.live.store import first_seen_at
from server.live.telemetry_store import Exact, exact
from server.parts import Parts
from server.picture.picture import RunningMaintenance
from server.slo.model.comparison import Finding
from server.slo.model.confidence import at_least
from server.slo.model.status import ObjectiveStatus

Window = Literal["15m", "1h", "6h", "24h", "7d"]


class Refusal(NamedTuple):
    """Something was refused from a second up to another, Unix seconds."""

    start: int
    end: int


def spans(slots: Iterable[int], gap_s: int) -> list[Refusal]:
    """Slots of SLOT_S, oldest first, as spans; what is `gap_s` or less apart is one."""
    found: list[Refusal] = []
    for slot in slots:
        if found and slot - found[-1].end <= gap_s:
            found[-1] = Refusal(found[-1].start, slot + SLOT_S)
        else:
            found.append(Refusal(slot, slot + SLOT_S))
    return found


class PageSpan(Struct, frozen=True):
    """One choice of window. Seconds; `row_s` is the step of the table, `step_s` that of the charts."""

    name: Window
    label: str
    seconds: int
    step_s: int
    row_s: int


SPANS = {
    span.name: span
    for span in (
        PageSpan("15m", "15 min", 900, 5, 60),
        PageSpan("1h", "1 h", 3600, 60, 300),
        PageSpan("6h", "6 h", 6 * 3600, 300, 1800),
        PageSpan("24h", "24 h", 86400, 600, 3600),
        PageSpan("7d", "7 d", 7 * 86400, 3600, 6 * 3600),
    )
}
FINDINGS: dict[Finding, str] = {
    "worse": "surely worse",
    "better": "surely better",
    "no_difference": "no difference that can be told from chance",
    "too_few": "too few to tell",
}
INTAKE_S = 3600  # what was refused longer ago is history


class ServiceHistory(Struct):
    """What is read from the database for one service and window."""

    since: datetime | None  # when its first outcome came: before that there is no value, not even 0
    total: SummaryRow
    routes: list[SummaryRow]
    versions: list[SummaryRow]
    points: list[SeriesPoint]  # oldest first, for the table; p50 to p99 in ms
    changes: list[Change]
    intake: list[IntakeRow]
    refused: list[Refusal]  # when a limit refused its senders; what is less than a step of the charts apart is one
    lines: ServiceLines | None  # None: their database is away
    point_s: int  # how long one of the points is
    exact: Exact

    def refused_in(self, point: SeriesPoint) -> bool:
        """Whether anything was refused during a point: without traffic then is not quiet."""
        start = point.at.timestamp()
        return any(one.start < start + self.point_s and start < one.end for one in self.refused)


class ServiceView(Struct):
    """What the Service page shows. `row` None: nothing in the picture; `history` None: the database does not answer."""

    name: str
    span: PageSpan
    spans: list[PageSpan]
    row: LiveRow | None
    sentence: str
    history: ServiceHistory | None
    marks: dict[str, str]
    stores_outcomes: bool
    titles: dict[str, str]  # of the objectives, by name
    refused: str  # what a limit refuses just now, in words
    ship: ShipView
    maintenance: list[RunningMaintenance]  # that it is in
    failing: FailingRequests | None  # while it is in trouble
    line_bytes_a_day: int  # of its log lines at most
    over_ms: float | None  # where it is only slow: what took longer is shown

    @property
    def allowed_percent(self) -> float | None:
        """The strictest availability objective, as the failing per cent that it allows."""
        held = self.row.objectives if self.row else []
        return min((round(100 * (1 - o.target), 6) for o in held if o.kind == "availability"), default=None)

    def state_of(self, objective: ObjectiveStatus) -> PageState:
        """How an objective stands beside its alert."""
        alerts = [alert for alert in self.row.alerts if alert.objective == objective.name] if self.row else []
        return beside_alerts(objective.state, alerts)

    @property
    def verdict(self) -> str:
        """What is said of the newest version, in a sentence; nothing where there is no other one."""
        found = self.row.version if self.row else None
        if found is None:
            return ""
        return f"{found.text}, on the same routes: {FINDINGS[found.finding]}."

    @property
    def slow_ms(self) -> float | None:
        """The strictest latency threshold."""
        held = self.row.objectives if self.row else []
        return min((o.threshold_ms for o in held if o.threshold_ms is not None), default=None)


def worst_first(rows: Iterable[SummaryRow]) -> list[SummaryRow]:
    """What surely fails most, then what has most traffic."""
    return sorted(rows, key=lambda row: (-at_least(row.bad, row.volume), -row.volume, row.name))


async def read(parts: Parts, key: tuple[str, Window]) -> ServiceHistory:
    """One snapshot of everything for a service and window."""
    service, name = key
    span, now = SPANS[name], shared_clock.now()
    async with parts.db.ask() as connection, parts.db.rows_if_there(connection) as rows:
        (total,) = await questions.summary(connection, service, span.seconds, now)
        start = now - span.seconds
        latency = await questions.series(connection, service, "latency", start, now, step_s=span.row_s, now=now)
        refused = await refusals_store.refused_slots(connection, service, start, UNSEEN)
        intake = await refusals_store.intake(connection, now - min(span.seconds, INTAKE_S))
        return ServiceHistory(
            since=await first_seen_at(connection, service),
            total=total,
            routes=worst_first(await questions.summary(connection, service, span.seconds, now, "route")),
            versions=worst_first(await questions.summary(connection, service, span.seconds, now, "version")),
            points=latency.points,
            changes=await changes.recent(connection, start, service, limit=50),
            intake=sorted((i for i in intake if i.service == service), key=lambda i: (i.key, i.reason)),
            refused=spans(refused, span.step_s),
            lines=await service_lines(connection, rows, service, start, now) if rows is not None else None,
            point_s=latency.step,
            exact=await exact(connection, service),
        )


async def require(parts: Parts, ask: Ask) -> None:
    """ApiError NOT_FOUND where no outcome of the service ever came, or where it is no window."""
    service = ask.get("service")
    if ask.get("window", "15m") not in SPANS:
        raise ApiError("NOT_FOUND", f"The windows are {', '.join(SPANS)}.")
    if parts.relay.service(service) is None:
        async with parts.db.ask() as connection:
            await questions.require(connection, service)


# By how far the window reaches: what it shows moves slowly where it is long.
HISTORIES = {name: Memos(read, kept_s=max(2.0, span.step_s / 5)) for name, span in SPANS.items()}


async def service_view(parts: Parts, ask: Ask, now: float) -> ServiceView:
    """The page: its head from the picture, the rest as read at most every few seconds."""
    name, span = ask.get("service"), SPANS[ask.get("window", "15m")]  # type: ignore[index]
    row = next((each for each in service_rows(parts.relay.picture) if each.name == name), None)
    over_ms = row.over_ms if row else None
    requests = await FAILING.get(parts, (name, over_ms)) if row is not None and row.troubled else None
    return ServiceView(
        name=name,
        span=span,
        spans=list(SPANS.values()),
        row=row,
        sentence=sentence(row, requests),
        history=await HISTORIES[span.name].get(parts, (name, span.name)),
        marks=LETTERS,
        stores_outcomes=parts.settings.limits_for(0).ingest_store_outcomes,
        titles={o.name: o.title for o in parts.policies.objectives},
        refused=refused(row.service) if row is not None and row.service.partial else "",
        ship=await ship_view(parts, name, now),
        maintenance=[one for one in parts.relay.maintenance if name in one.services],
        failing=requests,
        line_bytes_a_day=parts.env.log_bytes_a_day,
        over_ms=over_ms,
    )


def sentence(row: LiveRow | None, requests: FailingRequests | None) -> str:
    """The last minute in words; of what is slow, where."""
    if row is None:
        return "Nothing of it has come in the last 15 minutes."
    return f"{describe(row)} Slow: {where(row, requests)}." if row.slow else describe(row)


def service_title(view: ServiceView) -> str:
    mark = f"{view.row.look.mark} " if view.row else ""
    return f"{mark}{view.name} · Evenkeel"


SERVICE = live_page(
    LivePage(
        name="service",
        template="service.html",
        context=service_view,
        regions={
            "service-head": "service/head.html",
            "service-failing": "service/failing.html",
            "service-lines": "service/lines.html",
            "service-ship": "service/ship.html",
            "service-objectives": "service/objectives.html",
            "service-changes": "service/changes.html",
            "service-points": "service/points.html",
            "service-routes": "service/routes.html",
            "service-versions": "service/versions.html",
            "service-intake": "service/intake.html",
        },
        args=("service", "window"),
        require=require,
        titles=service_title,
    )
)


class ServicePage(Page):
    """GET /services/NAME?window=15m."""

    async def get(self, service: str) -> None:
        await self.show_live(SERVICE, service=service)
