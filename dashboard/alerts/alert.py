"""One alert: since when, who was told, what says so, and what became of it."""

from __future__ import annotations

from msgspec import Struct

from dashboard.alerts.list import AlertListed, newest, row
from dashboard.shared.failing import FAILING, SUSPECTS
from dashboard.shared.format import number, percent
from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memos
from dashboard.shared.page import Page
from dashboard.shared.since import SINCE, since_asked
from dashboard.shared.telling import alert_look
from server.alerts import silence_store, store
from server.alerts.alert import Alert, AlertEvent, Outage
from server.alerts.silence import Silence
from server.alerts.store import Reach
from server.alerts.words import p95, tier_words, windows
from server.incidents import store as incidents_store
from server.incidents.suspect_answer import SuspectsAnswer, SuspectsQuestion
from server.kernel import shared_clock
from server.kernel.errors import ApiError
from server.kernel.ids import number_in
from server.live.outcomes import FailingRequests
from server.parts import Parts
from server.slo.model.since_act import SinceAct
from server.slo.model.status import Evidence


class AlertRecord(Struct):
    """What is read from the database; `alert` None: there is none."""

    alert: Alert | None
    timeline: list[AlertEvent]
    silences: list[Silence]
    reach: Reach
    outages: list[Outage]


class AlertView(Struct):
    """The page; None: it cannot be read just now."""

    one: AlertListed | None
    timeline: list[AlertEvent]  # newest first
    evidence: list[str]  # in words
    failing: FailingRequests | None = None  # until it is resolved
    outages: list[Outage] = []  # the last first
    since: SinceAct | None = None  # the newest act after the onset
    over_ms: float | None = None  # of an objective of latency: what took longer is shown
    suspects: SuspectsAnswer | None = None


async def read(parts: Parts, alert_id: int) -> AlertRecord:
    async with parts.db.act() as connection:
        return AlertRecord(
            await store.one(connection, alert_id),
            await store.timeline(connection, alert_id),
            await silence_store.active(connection, shared_clock.now()),
            await store.reach(connection, [alert_id]),
            (await store.outages(connection, [alert_id]))[alert_id],
        )


RECORDS = Memos(read, kept_s=5)  # read anew each second: an act is seen at once


def asked_id(ask: Ask) -> int:
    """The id in the address; 0, which no alert has, for what is none."""
    return number_in(ask.get("id")) or 0


async def there(parts: Parts, ask: Ask) -> None:
    """ApiError NOT_FOUND where there is no such alert; one that cannot be read just now may be there."""
    record = await RECORDS.get(parts, asked_id(ask))
    if not asked_id(ask) or (record is not None and record.alert is None):
        raise ApiError("NOT_FOUND", f"There is no alert {ask.get('id')[:40]}. The page Alerts lists them.")


async def alert_view(parts: Parts, ask: Ask, now: float) -> AlertView:
    """The alert with the newest evidence."""
    record = await RECORDS.get(parts, asked_id(ask), now)
    if record is None or record.alert is None:
        return AlertView(None, [], [])
    live = next((one for one in parts.relay.alerts if one.id == record.alert.id), None)
    alert = newest(record.alert, live) if record.alert.state != "resolved" else record.alert
    titles = {objective.name: objective.title for objective in parts.policies.objectives}
    shown = row(alert, record.silences, record.reach, titles)
    over_ms = alert.evidence.threshold_ms
    return AlertView(
        shown,
        record.timeline[::-1],
        in_words(alert.evidence, alert.clear_since is not None),
        failing=await FAILING.get(parts, (alert.service, over_ms)) if alert.state != "resolved" else None,
        over_ms=over_ms,
        outages=record.outages[::-1],
        since=await SINCE.get(parts, since_asked(alert)),
        suspects=await SUSPECTS.get(parts, SuspectsQuestion(alert.service, alert.began, over_ms)),
    )


def in_words(evidence: Evidence, over: bool) -> list[str]:
    """What the last evidence says that burns, a sentence each; `over`: it burns no longer."""
    when = "when it last burned" if over else "lately"
    bad = "failed" if evidence.threshold_ms is None else f"took over {evidence.threshold_ms:.10g} ms"
    sentences = []
    if evidence.bad_ratio == 0:
        sentences.append(f"None of the requests of the last minute {bad}; {tier_words(evidence.tier or '')} goes on.")
    elif evidence.bad_ratio is not None:
        allowed = percent(round(1 - evidence.target, 9))
        sentences.append(f"{percent(evidence.bad_ratio)} of requests {bad} {when}; {allowed} may.")
    if evidence.total:
        window = "since the onset" if evidence.onset_method != "window" else f"in {windows(evidence.tier or '')}"
        sentences.append(f"{evidence.bad:,} of {evidence.total:,} {bad} {window}.")
    if evidence.slowness is not None and evidence.slowness.p95_ms is not None:
        sentences.append(f"p95 {p95(evidence.slowness)}.")
    if evidence.slowness is not None and evidence.slowness.route:
        sentences.append(f"Slow: {evidence.slowness.route}.")
    times = f"{number(evidence.spent)} times" if evidence.spent >= 1 else f"{percent(evidence.spent)} of"
    sentences.append(f"That is {times} the whole budget.")
    if evidence.budget_left is not None and evidence.budget_left >= 0:
        sentences.append(f"{percent(evidence.budget_left)} of it is left.")
    if evidence.likely:
        sentences.append(f"Likely: {evidence.likely}.")
    return sentences


def alert_title(view: AlertView) -> str:
    """The tab: `Firing · SEV-2 checkout`."""
    if view.one is None:
        return "Alert · Evenkeel"
    alert = view.one.alert
    mark = "■ " if alert_look(alert).shape == "burning" else ""
    return f"{mark}{alert_look(alert).word} · SEV-{alert.severity} {alert.service} · Evenkeel"


ALERT = live_page(
    LivePage(
        name="alert",
        template="alert.html",
        context=alert_view,
        regions={
            "alert-head": "alert/head.html",
            "alert-suspects": "alert/suspects.html",
            "alert-facts": "alert/facts.html",
            "alert-outages": "alert/outages.html",
            "alert-failing": "alert/failing.html",
            "alert-line": "alert/timeline.html",
        },
        args=("id",),
        require=there,
        wakes=("alerts",),
        title="Alert · Evenkeel",
        titles=alert_title,
    )
)


async def incident_of(parts: Parts, alert_id: int) -> int:
    """The incident of an alert; 0: it is in none."""
    async with parts.db.act() as connection:
        return await incidents_store.by_alert(connection, alert_id) or 0


INCIDENTS = Memos(incident_of, kept_s=1)


class AlertPage(Page):
    """GET /alerts/{id}: the room of its incident; `?alone=1`, and where there is none, the alert itself."""

    async def get(self, id: str) -> None:
        number = number_in(id) or 0
        incident = await INCIDENTS.get(self.parts, number) if number else 0
        if incident and not self.get_query_argument("alone", ""):
            self.redirect(f"/incidents/{incident}")
            return
        await self.show_live(ALERT, id=id)
