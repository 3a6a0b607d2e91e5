"""Review: what a month came to, for each service; to read, to print and to keep."""

from __future__ import annotations

from msgspec import Struct

from dashboard.shared.memo import Memo, Memos
from dashboard.shared.page import Page
from server.incidents import measures_store
from server.incidents.measures import BacklogAction, CauseSpent, Measures, backlog, by_month, of_quarter
from server.kernel import shared_clock
from server.parts import Parts
from server.review.monthly import MonthlyReport, middle
from server.review.reading import monthly, months_kept
from server.slo.ledger import months

KEPT_S = 60.0
BACKLOG_MOST = 200
MONTHS_S = 365 * 86_400.0


class Afterwards(Struct):
    """What incidents came to: the backlog, ranked, what each cause class has spent, and their measures."""

    backlog: list[BacklogAction]
    causes: list[CauseSpent]
    quarter: list[Measures]
    months: list[Measures]


class ReviewView(Struct):
    """The services, and the months of each in which anything was counted; None: they cannot be read just now."""

    services: dict[str, list[str]] | None
    now: str  # the month that is not over
    service: str  # the only one that is shown; '' all of them
    names: list[str]
    incidents: Afterwards | None
    at: float


class ReportView(Struct):
    """One report, with the months beside it where they have begun."""

    report: MonthlyReport
    earlier: str
    later: str  # '' where it has not begun

    @property
    def to_detect(self) -> float | None:
        """The median of the alerts, in seconds."""
        return middle(alert.time_to_detect_s for alert in self.report.alerts)

    @property
    def to_acknowledge(self) -> float | None:
        return middle(alert.time_to_acknowledge_s for alert in self.report.alerts)

    @property
    def to_resolve(self) -> float | None:
        return middle(alert.time_to_resolve_s for alert in self.report.alerts)

    @property
    def excluding(self) -> bool:
        """Whether an exclusion is in force in the month, or was and has left its trace in a rolling budget."""
        within = any(one.revoked_at is None for one in self.report.exclusions)
        return within or any(
            one.rolling_budget_left != one.rolling_budget_left_without_exclusions for one in self.report.objectives
        )


async def read(parts: Parts) -> dict[str, list[str]]:
    async with parts.db.ask() as connection:
        return await months_kept(connection, parts.policies, shared_clock.now())


READ = Memo(read, kept_s=KEPT_S)


async def read_incidents(parts: Parts, service: str) -> Afterwards:
    now, one = shared_clock.now(), service or None
    async with parts.db.ask() as connection:
        actions = await measures_store.actions(connection, open_only=True, service=one, most=BACKLOG_MOST)
        causes = await measures_store.causes(connection, now, one)
        measured = await measures_store.measured(connection, now - MONTHS_S, one)
    return Afterwards(backlog(actions, causes, now), causes, of_quarter(measured, now), by_month(measured))


INCIDENTS = Memos(read_incidents, kept_s=5)


class ReviewPage(Page):
    """GET /review?service=NAME."""

    async def get(self) -> None:
        service = self.get_query_argument("service", "")[:200]
        found = await READ.get(self.parts, (self.parts.policies.number, len(self.parts.policies.objectives)))
        shown = found if found is None or not service else {name: found[name] for name in found if name == service}
        now = shared_clock.now()
        came = await INCIDENTS.get(self.parts, service, int(now))
        view = ReviewView(shown, months.name_of(now), service, sorted(found or ()), came, now)
        self.show("review.html", view, title="Review · Evenkeel", page="review")


class ReportPage(Page):
    """GET /review/SERVICE/MONTH."""

    async def get(self, service: str, month: str) -> None:
        now = shared_clock.now()
        async with self.parts.db.ask() as connection:
            report = await monthly(connection, self.parts.policies, service, month, now)
        later = months.name_of(months.bounds(month)[1])
        view = ReportView(report, months.before(month), later if months.bounds(later)[0] <= now else "")
        self.show("review/report.html", view, title=f"{service}, {month} · Evenkeel", page="review")
