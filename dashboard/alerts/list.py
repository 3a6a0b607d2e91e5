"""Alerts: what is open and who was told, what is silenced, and what was resolved in the last days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from dashboard.shared.live import Ask, LivePage, live_page
from dashboard.shared.memo import Memo
from dashboard.shared.page import Page
from dashboard.shared.recovery import Waiting, waiting
from dashboard.shared.telling import Telling, alert_look, telling
from server.alerts import silence_store, store
from server.alerts.alert import Alert
from server.alerts.matcher import LABELS
from server.alerts.order import alert_order
from server.alerts.silence import Silence
from server.alerts.store import MeasureRow, Reach
from server.alerts.words import failing
from server.kernel import shared_clock
from server.kernel.names import is_drill
from server.parts import Parts
from server.signals import copy_store
from server.signals.copy_store import CopyFaring

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

DAY_S = 86_400.0
RESOLVED_S = 7 * DAY_S
RESOLVED_SHOWN = 50
MEASURED_S = 30 * DAY_S
DURATIONS = ((60, "1 h"), (240, "4 h"), (1440, "1 day"), (10_080, "7 days"))


class AlertListed(Struct):
    """One alert of a list."""

    alert: Alert
    failing: str  # 4.1 % of requests fail (objective 0.1 %)
    telling: Telling
    told_to: list[str]  # names of targets
    silence: Silence | None
    title: str  # of its objective
    waits_for: Waiting | None  # while it recovers


class SilencesCopied(Struct):
    """How silences stand in an Alertmanager, by their ids; one that is missing is of what it does not know."""

    host: str
    faring: dict[int, CopyFaring]


class AlertRecords(Struct):
    """What is read from the database."""

    open: list[Alert]
    resolved: list[Alert]
    silences: list[Silence]
    copies: SilencesCopied | None
    reach: Reach
    measures: MeasureRow


class AlertsView(Struct):
    """The page. `known` False: it cannot be read just now, and what is shown is what the watch published last."""

    open: list[AlertListed]
    resolved: list[AlertListed]
    silences: list[Silence]
    copies: SilencesCopied | None
    measures: MeasureRow | None
    targets: int | None
    known: bool

    @property
    def firing(self) -> int:
        """How many fire in production, and are not over by all that is seen."""
        return sum(alert_look(one.alert).shape == "burning" for one in self.open if not is_drill(one.alert.service))

    @property
    def recovering(self) -> bool:
        """Whether any recovers."""
        return any(alert_look(one.alert).shape == "recovering" for one in self.open)


class SilenceForm(Struct):
    """What can be silenced: every service that has an objective, and every objective by its title."""

    services: list[str]
    objectives: list[tuple[str, str]]
    durations: tuple[tuple[int, str], ...] = DURATIONS
    labels: tuple[str, ...] = LABELS


async def copied(connection: AsyncConnection, silence_ids: list[int]) -> SilencesCopied | None:
    """How they stand in Alertmanager; None where silences are written back nowhere."""
    target = await copy_store.in_force(connection)
    return SilencesCopied(target.host, await copy_store.faring(connection, silence_ids)) if target else None


async def read(parts: Parts) -> AlertRecords:
    now = shared_clock.now()
    async with parts.db.act() as connection:
        open_ = await store.listed(connection, "open", limit=500)
        resolved = await store.listed(connection, "resolved", since=now - RESOLVED_S, limit=RESOLVED_SHOWN)
        silences = await silence_store.active(connection, now)
        return AlertRecords(
            sorted(open_, key=alert_order),
            sorted(resolved, key=lambda alert: -(alert.resolved_at or 0)),
            silences,
            await copied(connection, [one.id for one in silences]),
            await store.reach(connection, [alert.id for alert in open_ + resolved]),
            await store.measures(connection, now - MEASURED_S),
        )


RECORDS = Memo(read, kept_s=5)  # read anew each second: an act is seen at once


async def alerts_view(parts: Parts, ask: Ask, now: float) -> AlertsView:
    """What is open with the newest evidence; without the database what the watch published last."""
    live = {alert.id: alert for alert in parts.relay.alerts}
    titles = {objective.name: objective.title for objective in parts.policies.objectives}
    records = await RECORDS.get(parts, now)
    if records is None:
        open_ = [row(alert, [], Reach({}, None), titles) for alert in live.values() if alert.state != "resolved"]
        return AlertsView(open_, [], [], None, None, None, False)
    fresh = [newest(alert, live.get(alert.id)) for alert in records.open]
    return AlertsView(
        [row(alert, records.silences, records.reach, titles) for alert in fresh],
        [row(alert, records.silences, records.reach, titles) for alert in records.resolved],
        records.silences,
        records.copies,
        records.measures,
        records.reach.targets,
        True,
    )


def newest(alert: Alert, live: Alert | None) -> Alert:
    """With the evidence of the picture, which is written down only now and then, and what a recovery waits for."""
    return alert if live is None else replace(alert, evidence=live.evidence, recovery=live.recovery)


def row(alert: Alert, silences: list[Silence], reach: Reach, titles: dict[str, str]) -> AlertListed:
    """One alert for people."""
    return AlertListed(
        alert=alert,
        failing=failing(alert),
        telling=telling(alert, reach.targets),
        told_to=reach.told_to.get(alert.id, []),
        silence=next((one for one in silences if one.id == alert.silence_id), None),
        title=titles.get(alert.objective, alert.objective),
        waits_for=waiting([alert]) if alert.state != "resolved" else None,
    )


def alerts_title(view: AlertsView) -> str:
    """The tab: `■ 2 firing · Alerts`."""
    return f"■ {view.firing} firing · Alerts · Evenkeel" if view.firing else "Alerts · Evenkeel"


ALERTS = live_page(
    LivePage(
        name="alerts",
        template="alerts.html",
        context=alerts_view,
        regions={
            "alerts-head": "alerts/head.html",
            "alerts-open": "alerts/open.html",
            "alerts-silences": "alerts/silences.html",
            "alerts-resolved": "alerts/resolved.html",
        },
        wakes=("alerts",),
        title="Alerts · Evenkeel",
        titles=alerts_title,
    )
)


class AlertsPage(Page):
    """GET /alerts."""

    async def get(self) -> None:
        objectives = self.parts.policies.objectives
        form = SilenceForm(sorted({o.service for o in objectives}), sorted((o.name, o.title) for o in objectives))
        await self.show_live(ALERTS, beside=form)
