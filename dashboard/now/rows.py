"""The services of the picture as rows: worst first, each with its live charts."""

from __future__ import annotations

from msgspec import Struct

from dashboard.now import sparkline as spark
from dashboard.shared.format import between, number, percent, share
from dashboard.shared.looks import BAD, LOOKS, Look
from dashboard.shared.recovery import Recovered, Waiting
from dashboard.shared.standing import ServiceNow, services_now
from dashboard.shared.telling import AlertLine, alert_line
from server.alerts.alert import Alert
from server.kernel.names import OWN, is_drill
from server.live.service import LiveService
from server.picture.picture import Picture
from server.slo.model.status import ObjectiveStatus, VersionVerdict


class Charts(Struct):
    """The last two minutes of a service."""

    errors: spark.Sparkline
    latency: spark.Sparkline
    traffic: spark.Sparkline


class LiveRow(Struct):
    """One service. `n` and `bad` are of the last minute; `charts` None: not drawn."""

    name: str
    look: Look
    order: tuple[float, int, bool, float, int, str]  # worst first
    n: int
    bad: int
    p95_ms: float | None
    per_second: float
    objectives: list[ObjectiveStatus]
    tightest: ObjectiveStatus | None  # the objective with least budget left
    silent_s: int | None
    service: LiveService
    alerts: list[Alert]  # the open ones, the one that is shown first
    cause: str  # the service that explains it
    waits_for: Waiting | None = None  # while it recovers
    recovered: Recovered | None = None  # within an hour
    version: VersionVerdict | None = None  # of its newest version
    targets: int | None = None  # whom its alerts are told; None: not known
    charts: Charts | None = None
    onset: float | None = None  # of its open incident, the first

    @property
    def troubled(self) -> bool:
        return self.look.state in BAD

    @property
    def drill(self) -> bool:
        """Whether it fails on purpose."""
        return is_drill(self.name)

    @property
    def pages(self) -> bool:
        """Whether it burns, or recovers from what somebody is paged for; a ticket that recovers is a line."""
        paged = any(alert.urgency == "page" for alert in self.alerts)
        return self.look.state == "burning" or (self.look.state == "recovering" and paged)

    @property
    def ratio(self) -> str:
        """What failed of the last minute; while a limit refuses, from none of the refused to all of them."""
        refused = self.service.refused_items
        offered = self.n + refused
        if not refused:
            return percent(self.bad / self.n if self.n else None)
        return between(self.bad / offered, (self.bad + refused) / offered)

    @property
    def counted(self) -> str:
        """`12 of 312`: what failed of the last minute, beside the ratio; while a limit refuses, of what was offered."""
        return f"{self.bad:,} of {self.n + self.service.refused_items:,}"

    @property
    def rate(self) -> str:
        """Requests a second in the last minute; a range while a limit refuses."""
        return between(self.per_second, (self.n + self.service.refused_items) / 60, number)

    @property
    def refused(self) -> str:
        """`41 %` of its items, refused by a limit; nothing where none is."""
        service = self.service
        return share(service.refused_items, service.accepted_items + service.refused_items) if service.partial else ""

    @property
    def hit(self) -> list[ObjectiveStatus]:
        """The objectives that gave the service its state; while it recovers, those that its alerts are of."""
        if self.look.state == "recovering":
            names = {alert.objective for alert in self.alerts}
            return [objective for objective in self.objectives if objective.name in names]
        return [objective for objective in self.objectives if objective.state == self.look.state]

    @property
    def since(self) -> float | None:
        """When it began: as its open incident says, else the outage that is alerted of, else the onset of what burns,
        else the state. Unix seconds."""
        if self.onset is not None and self.look.state in ("burning", "recovering"):
            return self.onset
        if self.look.state == "recovering":
            return min(alert.began for alert in self.alerts)
        alerted = {alert.objective: alert.began for alert in self.alerts} if self.look.state == "burning" else {}
        known = [alerted.get(one.name, one.since if one.onset is None else one.onset) for one in self.hit]
        began = [at for at in known if at is not None]
        return min(began or [alert.began for alert in self.alerts], default=None)

    @property
    def worse(self) -> VersionVerdict | None:
        """The verdict on its newest version, where that surely fails more."""
        return self.version if self.version is not None and self.version.worse else None

    @property
    def alert(self) -> AlertLine | None:
        """The alert that is shown, and who was told."""
        return alert_line(self.alerts[0], self.targets) if self.alerts else None

    @property
    def over_ms(self) -> float | None:
        """The strictest threshold that it is slow by; None where it is not only slow."""
        return (
            min((o.threshold_ms for o in self.hit if o.threshold_ms is not None), default=None) if self.slow else None
        )

    @property
    def slow(self) -> bool:
        """Whether it is in trouble for latency alone: then p95 says more than errors."""
        return self.troubled and bool(self.hit) and all(objective.kind == "latency" for objective in self.hit)


def service_rows(picture: Picture | None) -> list[LiveRow]:
    """Every service, worst first; our own last, in trouble among its equals, and drills after it. None is drawn."""
    incidents = sorted(picture.incidents or [], key=lambda one: -one.onset) if picture else []
    onsets = {one.service: one.onset for one in incidents}
    rows = [row(each, onsets.get(each.live.name)) for each in services_now(picture)]
    return sorted(
        rows,
        key=lambda row: (row.drill, row.name == OWN and not row.troubled, row.order[0], row.name == OWN, row.order),
    )


def row(now: ServiceNow, onset: float | None = None) -> LiveRow:
    service = now.live
    return LiveRow(
        name=service.name,
        look=LOOKS[now.state],
        order=now.order,
        n=service.n,
        bad=service.bad,
        p95_ms=service.p95_ms,
        per_second=service.n / 60,
        objectives=now.objectives,
        tightest=min(now.objectives, key=left_of, default=None),
        silent_s=service.silent_s,
        service=service,
        alerts=now.alerts,
        cause=now.cause,
        waits_for=now.waits_for,
        recovered=now.recovered,
        version=now.version,
        targets=now.targets,
        onset=onset,
    )


def draw(rows: list[LiveRow], end: int) -> None:
    """Draw the charts of the rows. `end` is the picture's second, which is not over yet and so not drawn."""
    for row in rows:
        allowed = min((1 - o.target for o in row.objectives if o.kind == "availability"), default=None)
        slow = min((o.threshold_ms for o in row.objectives if o.threshold_ms is not None), default=None)
        points, silent = row.service.points, row.silent_s
        row.charts = Charts(
            errors=spark.sparkline(points, end, spark.error_ratio, allowed, silent),
            latency=spark.sparkline(points, end, spark.slowest_p95, slow, silent),
            traffic=spark.sparkline(points, end, spark.per_second, None, silent),
        )


def left_of(objective: ObjectiveStatus) -> float:
    """What orders budgets: the least that may be left; one without traffic, or too little, is whole."""
    if not objective.judged:
        return 1.0
    known = [left for left in (objective.budget_worst, objective.budget_left) if left is not None]
    return min(known, default=1.0)
