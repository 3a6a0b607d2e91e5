"""Now: is it broken, how badly and for whom, since when, what changed."""

from __future__ import annotations

from msgspec import Struct

from dashboard import sparkline as spark
from dashboard.format import FEW, budget, number, percent, plural, share, span
from dashboard.live import Ask, LivePage, live_page
from dashboard.looks import BAD, LOOKS, Look
from dashboard.page import Page
from dashboard.standing import state_of, status_of
from server.live.picture import Part, Picture, ServicePicture
from server.parts import Parts
from server.slo.status import ObjectiveStatus, State, Status

OWN = "evenkeel"  # our own service: last, unless it is not OK
SILENT_S = 3.0  # without a heartbeat for this long a process is named
CHARTED = 20  # rows shown before the rest is folded


class Headline(Struct):
    """The first thing read: a state, what is in it, and how bad it is."""

    look: Look | None  # None: nothing is known
    text: str
    details: list[str]


class Row(Struct):
    """One service. The charts are of the last two minutes; `objectives` counts those that it is held to."""

    name: str
    look: Look
    n: int
    bad: int
    p95_ms: float | None
    per_second: float
    errors: spark.Sparkline
    latency: spark.Sparkline
    traffic: spark.Sparkline
    left: float | None
    worst: float | None
    best: float | None
    objectives: int
    since: float | None
    silent_s: int | None


class Own(Struct):
    """Evenkeel itself, from the heartbeats in the picture."""

    web: int  # web processes that beat
    web_known: int
    watch: str
    redis: bool | None
    silent: list[str]  # a sentence about each process that has stopped beating


class NowView(Struct):
    """What the Now page shows. `empty`: nobody but Evenkeel itself has sent an outcome."""

    headline: Headline
    rows: list[Row]
    own: Own | None
    folded: int  # rows that are OK and not shown
    all: bool
    empty: bool
    public_url: str

    @property
    def fine(self) -> int:
        """Services that need no attention: on a phone they are one line."""
        return sum(1 for row in self.rows if row.look.state not in BAD) + self.folded


async def now_view(parts: Parts, ask: Ask, now: float) -> NowView:
    """The page from the picture that this process holds."""
    picture = parts.relay.picture
    status = status_of(picture)
    rows = service_rows(picture, status) if picture else []
    everything = ask.get("all") == "1"
    shown = rows if everything else rows[: max(CHARTED, sum(row.look.state in BAD for row in rows))]
    return NowView(
        headline=headline(picture, status, rows),
        rows=shown,
        own=own_health(picture) if picture else None,
        folded=len(rows) - len(shown),
        all=everything,
        empty=all(row.name == OWN for row in rows),
        public_url=parts.env.public_url,
    )


def service_rows(picture: Picture, status: Status | None) -> list[Row]:
    """Every service, worst first, then busiest; our own last, unless it is not OK."""
    objectives: dict[str, list[ObjectiveStatus]] = {}
    for objective in status.objectives if status else ():
        objectives.setdefault(objective.service, []).append(objective)
    rows = [
        row(service, state_of(service, status), objectives.get(service.name, []), int(picture.at))
        for service in picture.services
    ]
    return sorted(rows, key=lambda r: (r.name == OWN and r.look.state not in BAD, r.look.rank, -r.n, r.name))


def row(service: ServicePicture, state: State, objectives: list[ObjectiveStatus], end: int) -> Row:
    """One service as a row. `end` is the picture's second, which is not over yet and so not drawn."""
    tightest = min(objectives, key=lambda o: 2.0 if o.budget_left is None else o.budget_left, default=None)
    allowed = max((1 - o.target for o in objectives if o.kind == "availability"), default=None)
    slow = min((o.threshold_ms for o in objectives if o.threshold_ms is not None), default=None)
    points, silent = service.points, service.silent_s
    return Row(
        name=service.name,
        look=LOOKS[state],
        n=service.n,
        bad=service.bad,
        p95_ms=service.p95_ms,
        per_second=service.n / 60,
        errors=spark.sparkline(points, end, spark.error_ratio, allowed, silent),
        latency=spark.sparkline(points, end, spark.slowest_p95, slow, silent),
        traffic=spark.sparkline(points, end, spark.per_second, None, silent),
        left=tightest.budget_left if tightest else None,
        worst=tightest.budget_worst if tightest else None,
        best=tightest.budget_best if tightest else None,
        objectives=len(objectives),
        since=min((o.since for o in objectives if o.state == state and o.since is not None), default=None),
        silent_s=silent,
    )


def own_health(picture: Picture) -> Own:
    """Who beats and who does not."""
    web = [process for process in picture.processes if process.kind == "web"]
    silent = [process for process in picture.processes if process.heartbeat_age_s > SILENT_S]
    return Own(
        web=sum(process.heartbeat_age_s <= SILENT_S for process in web),
        web_known=len(web),
        watch=picture.watch,
        redis=picture.redis,
        silent=[f"{process.host}/{process.name} silent for {span(process.heartbeat_age_s)}" for process in silent],
    )


def headline(picture: Picture | None, status: Status | None, rows: list[Row]) -> Headline:
    """The worst state and who is in it; else how many objectives are met."""
    if picture is None:
        return Headline(None, "No picture yet", [])
    troubled = [row for row in rows if row.look.state in BAD]
    if not troubled:
        return calm(status, rows)
    worst = min(troubled, key=lambda r: r.look.rank).look
    names = [row.name for row in troubled if row.look is worst]
    services = {service.name: service for service in picture.services}
    details = [describe(row, services[row.name], status) for row in troubled[:3]]
    return Headline(worst, f"{worst.word}: {listed(names)}", details)


def calm(status: Status | None, rows: list[Row]) -> Headline:
    """Nothing is wrong: said only of what is known."""
    objectives = status.objectives if status else []
    ok = sum(objective.state == "ok" for objective in objectives)
    if not objectives:
        return Headline(LOOKS["no_objective"], "No objectives", ["slo.yaml sets none, so nothing is called OK."])
    if ok == 0:
        return Headline(LOOKS["no_traffic"], "No traffic", [])
    idle = len(objectives) - ok
    details = [f"{plural(idle, 'objective')} without traffic."] if idle else []
    unheld = [row.name for row in rows if row.look.state == "no_objective"]
    if unheld:
        details.append(f"No objective: {listed(unheld)}.")
    return Headline(LOOKS["ok"], f"All {plural(ok, 'objective')} OK", details)


def describe(row: Row, service: ServicePicture, status: Status | None) -> str:
    """How badly, for whom, and what is left: one sentence or two about a service in trouble."""
    left = budget(row.left, row.worst, row.best) if row.objectives else ""
    if row.look.state == "blind":
        usual = f" (usually {number(service.usual_per_second)}/s)" if service.usual_per_second else ""
        return f"{row.name} silent for {span(service.silent_s)}{usual}." + (f" Budget {left}." if left else "")
    if row.look.state == "partial":
        return refused(service)
    sentences = [f"{row.name}: {failing(service)}"]
    if row.left is not None:
        gone = soonest(row.name, status)
        sentences.append(f"Budget left {left}" + (f", gone in {span(gone)}." if gone is not None else "."))
    return " ".join(sentences)


def failing(service: ServicePicture) -> str:
    """`4.1 % of 312 requests/min fail, all POST /checkout, version 5f2c1a9.`"""
    if service.bad == 0:
        p95 = f", p95 {number(service.p95_ms)} ms" if service.p95_ms is not None else ""
        return f"none of {service.n:,} requests/min fail{p95}."
    ratio = percent(service.bad / service.n)
    named = [named_share(service.worst_route, service.bad), named_share(service.worst_version, service.bad, "version ")]
    return ", ".join([f"{ratio} of {service.n:,} requests/min fail", *(part for part in named if part)]) + "."


def named_share(part: Part | None, bad: int, what: str = "") -> str:
    """`all POST /checkout`, or `92 % of them POST /checkout`; nothing where it is not most."""
    if part is None or not part.name or part.bad * 2 < bad:
        return ""
    if part.bad >= bad:
        return f"{'' if what else 'all '}{what}{part.name}"
    return f"{percent(part.bad / bad)} of them {what}{part.name}"


def refused(service: ServicePicture) -> str:
    """`41 % of checkout's items are refused by a limit (THROTTLED), most from ci-loadgen.`"""
    offered = service.accepted_items + service.refused_items
    told = share(service.refused_items, offered)
    what = f"{told} items of {service.name}" if offered < FEW else f"{told} of {service.name}'s items"
    by = f" ({service.refused_by})" if service.refused_by else ""
    most = f", most from {service.refused_key}" if service.refused_key else ""
    return f"{what} are refused by a limit{by}{most}. Ratios are ranges."


def soonest(name: str, status: Status | None) -> float | None:
    """Seconds until the first of its budgets is gone."""
    left = [o.exhausted_in_s for o in status.objectives if o.service == name] if status else []
    return min((seconds for seconds in left if seconds is not None), default=None)


def listed(names: list[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def now_title(view: NowView) -> str:
    """The tab's title: the mark first, so that it is seen in a row of tabs."""
    look = view.headline.look
    return f"{look.mark + ' ' if look else ''}{view.headline.text} · Evenkeel"


NOW = live_page(
    LivePage(
        name="now",
        template="now.html",
        context=now_view,
        regions={
            "headline": "now/headline.html",
            "services": "now/services.html",
            "side": "now/side.html",
        },
        args=("all",),
        title="Now · Evenkeel",
        titles=now_title,
    )
)


class NowPage(Page):
    """GET /."""

    async def get(self) -> None:
        await self.show_live(NOW)
