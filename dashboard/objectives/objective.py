"""One objective: what is left, how fast it goes, what spent it, and how soon it would be seen."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from dashboard.changes.page import LETTERS
from dashboard.now.headline import lost, refused, too_little
from dashboard.shared.format import ms, rate, span
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.looks import LOOKS, Look
from dashboard.shared.memo import Memos
from dashboard.shared.recovery import Recovered, Waiting, beside_alerts, recovered, waiting
from server.alerts.alert import Alert
from server.alerts.store import listed
from server.changes import store as changes
from server.changes.before import just_before
from server.changes.store import Change
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.live.service import LiveService
from server.live.telemetry_store import Exact, exact
from server.parts import Parts
from server.slo.judge.detection import Detection, detection
from server.slo.ledger.history import Stretch
from server.slo.ledger.past import Past, past
from server.slo.model.objective import Objective
from server.slo.model.status import BurnWindow, ObjectiveStatus, TierState, by_name
from server.slo.model.tiers import H1, Urgency

CHANGES = 200
ALERTS = 8
KEPT_S = 15.0

TIER_STATES: dict[TierState, str] = {
    "holds": "holds too",
    "over": "over: what came since burns less",
    "unsure": "too few failures to be sure",
    "one_client": "may be one client's failures",
}


class Spent(Struct):
    """A stretch of failures, and what changed just before it."""

    stretch: Stretch
    change: Change | None


class ObjectiveRead(Struct):
    """What is read from the database: the past of the budget, the changes of its window and alerts, newest first."""

    past: Past
    spent: list[Spent]
    changes: list[Change]
    alerts: list[Alert]
    inexact: str  # what of it is an estimate, or is not counted, in a sentence


class TierRow(Struct):
    """One tier. A window None: not evaluated yet."""

    name: str
    urgency: Urgency
    threshold: float  # the burn rate that both windows must have
    long_s: int
    short_s: int
    long: BurnWindow | None
    short: BurnWindow | None
    decides: bool  # the most urgent that holds
    state: str  # in words, where both windows burn so fast


class ObjectiveView(Struct):
    """The page. `now` and `look` None: not evaluated yet; `stored` None: the database does not answer."""

    objective: Objective
    now: ObjectiveStatus | None
    look: Look | None
    alert: Alert | None
    waits_for: Waiting | None  # while it recovers
    recovered: Recovered | None  # within an hour
    unseen: str  # why the budget is a range
    tiers: list[TierRow]
    seeing: Detection | None
    stored: ObjectiveRead | None
    marks: dict[str, str]

    @property
    def title(self) -> str:
        return self.objective.title or self.objective.name

    @property
    def allowed(self) -> float:
        """How many may fail among those counted; of few requests less than one."""
        return float(self.objective.allowed) * (self.now.good + self.now.bad) if self.now else 0.0

    @property
    def without(self) -> float | None:
        """What would be left if nothing were excluded; None where nothing is."""
        return self.now.budget_left_counted if self.now and self.now.left_out_good + self.now.left_out_bad else None

    @property
    def too_little(self) -> bool:
        """Whether there is too little traffic to judge what is left."""
        return self.now is not None and too_little(self.now)


async def read(parts: Parts, name: str) -> ObjectiveRead:
    """One snapshot of an objective's past."""
    objective, now = find_objective(parts, name), shared_clock.now()
    async with parts.db.ask() as connection:
        found = await past(connection, objective, now)
        made = await changes.recent(connection, now - objective.window_s, objective.service, CHANGES)
        alerts = await listed(connection, "all", objective=name, limit=ALERTS)
        known = await exact(connection, objective.service)
    spent = [Spent(one, just_before(made, one.start.timestamp())) for one in found.stretches]
    return ObjectiveRead(found, spent, made, alerts, inexact(objective, known))


READ = Memos(read, kept_s=KEPT_S)


def find_objective(parts: Parts, name: str) -> Objective:
    """The objective of a name; ApiError NOT_FOUND otherwise."""
    found = parts.policies.objective(name)
    if found is None:
        raise ApiError("NOT_FOUND", f"There is no objective {name}. It may have been renamed or taken out of the file.")
    return found


async def require(parts: Parts, ask: Ask) -> None:
    """ApiError NOT_FOUND where there is no objective of the name that is asked for."""
    find_objective(parts, ask.get("name"))


async def objective_view(parts: Parts, ask: Ask, now: float) -> ObjectiveView:
    """The page: its head from the picture, the rest as read at most every few seconds."""
    objective = find_objective(parts, ask.get("name"))
    status = by_name(parts.relay.status).get(objective.name)
    service = parts.relay.service(objective.service)
    alerts = [one for one in parts.relay.alerts if one.objective == objective.name]
    alert = open_alert(alerts, objective.name)
    look = look_of(status, alert)
    return ObjectiveView(
        objective=objective,
        now=status,
        look=look,
        alert=alert,
        waits_for=waiting([alert]) if alert and look and look.state == "recovering" else None,
        recovered=None if alert else recovered(alerts),
        unseen=unseen(service),
        tiers=tier_rows(objective, status),
        seeing=seeing(objective, status, service),
        stored=await READ.get(parts, objective.name, parts.policies.number),
        marks=LETTERS,
    )


def look_of(status: ObjectiveStatus | None, alert: Alert | None) -> Look | None:
    """How it looks; nothing is healthy before its alert is over."""
    return None if status is None else LOOKS[beside_alerts(status.state, [alert] if alert is not None else [])]


def open_alert(alerts: Iterable[Alert], objective: str) -> Alert | None:
    """The alert of an objective that has not been resolved."""
    return next((one for one in alerts if one.objective == objective and one.state != "resolved"), None)


def inexact(objective: Objective, known: Exact) -> str:
    """What of an objective is an estimate, or is not counted; nothing where all is exact."""
    threshold_ms = (objective.threshold_us or 0) / 1000
    bucket = known.splits(threshold_ms)
    if bucket is not None:
        low, high = map(ms, bucket)
        return (
            f"{ms(threshold_ms)} lies within a bucket of the histograms of {objective.service}, {low} to {high}: while "
            "requests are in it, they and those beside them are not counted. Put the threshold where a bucket ends."
        )
    if known.estimated:
        return f"{objective.service} samples, and not all spans say what they stand for: the budget is an estimate."
    return ""


def unseen(service: LiveService | None) -> str:
    """Why the outcomes of a service are not all known just now, in a sentence; nothing where they are."""
    if service is None or not (service.blind or service.partial):
        return ""
    if service.partial:
        return refused(service)
    if service.silent_s is None:
        return f"{service.name}: {lost(service)}"
    usual = f" (usually {rate(service.usual_per_second)})" if service.usual_per_second else ""
    return f"{service.name} has been silent for {span(service.silent_s)}{usual}."


def objective_title(view: ObjectiveView) -> str:
    return f"{view.look.mark + ' ' if view.look else ''}{view.title} · Evenkeel"


def seeing(objective: Objective, status: ObjectiveStatus | None, service: LiveService | None) -> Detection | None:
    """At the rate of the last minute, else of the last hour; None without traffic."""
    minute = service.n - (service.bad if objective.kind == "latency" else 0) if service else 0
    hour = next((one.total for one in status.windows if one.window_s == H1), 0) if status else 0
    per_second = minute / 60 or hour / H1
    return at_rate(objective, float(f"{per_second:.2g}")) if per_second else None


@lru_cache(maxsize=1000)
def at_rate(objective: Objective, per_second: float) -> Detection:
    """To two digits of the rate, so that it is not computed each second for everybody."""
    return detection(objective, per_second)


def tier_rows(objective: Objective, status: ObjectiveStatus | None) -> list[TierRow]:
    """Every tier in force, the most urgent first."""
    counted = {one.window_s: one for one in status.windows} if status else {}
    decided = status.decided_by if status else []
    states = status.tiers if status else {}
    return [
        TierRow(
            name=tier.name,
            urgency=tier.urgency,
            threshold=float(tier.burn),
            long_s=tier.long_s,
            short_s=tier.short_s,
            long=counted.get(tier.long_s),
            short=counted.get(tier.short_s),
            decides=decided == [tier.long_s, tier.short_s],
            state=TIER_STATES[states[tier.name]] if tier.name in states else "",
        )
        for tier in objective.tiers
    ]


OBJECTIVE = live_page(
    LivePage(
        name="objective",
        template="objective.html",
        context=objective_view,
        regions={
            "objective-head": "objective/head.html",
            "objective-days": "objective/days.html",
            "objective-spent": "objective/spent.html",
            "objective-burn": "objective/burn.html",
            "objective-seeing": "objective/seeing.html",
            "objective-alerts": "objective/alerts.html",
            "objective-months": "objective/months.html",
            "objective-changes": "objective/changes.html",
        },
        args=("name",),
        require=require,
        titles=objective_title,
    )
)
