"""The board: every second, from evidence to the open alerts.

What is open stands in PostgreSQL alone. Each second it is read, stepped, and what
became of it is written with what is to be told, in one transaction that ends with
the check of the fencing term: all of it happened, or none, and once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from server.alerts import silence_store, store
from server.alerts.alert import Alert, AlertEvent
from server.alerts.machine import HOUR_S, Context, step
from server.alerts.notice import Notice, Tell, key_of
from server.alerts.order import alert_order
from server.alerts.silence import Silence
from server.alerts.telling import Event, PagingAlerts, awaited, suppressor
from server.kernel.db import Database
from server.kernel.names import is_drill
from server.process.glance import Presence
from server.process.watch import require_term
from server.slo.model.status import Evidence
from server.slo.policy.policies import Policies
from server.telemetry import metrics

REFRESH_S = 5.0  # how often the evidence of what goes on is written
RECOVERED_SHOWN = 20
STALE_S = 2.0  # evidence older than this says nothing: objectives are not being evaluated


@dataclass(slots=True)
class Stepped:
    """What one second brought."""

    alerts: list[Alert] = field(default_factory=list)  # all that were open, or are
    changed: list[tuple[Alert, list[Event]]] = field(default_factory=list)
    refreshed: list[Alert] = field(default_factory=list)  # nothing is new but the evidence
    unread: list[int] = field(default_factory=list)  # cannot be read, and are ended


class Board:
    """The tick's second hook. `tell` joins the transaction that writes what is to be told."""

    def __init__(
        self,
        db: Database,
        policies: Policies,
        evidence: Callable[[], Sequence[Evidence]],
        tell: Tell,
        seen: Presence | None = None,
    ) -> None:
        self.db = db
        self.policies = policies
        self.evidence = evidence
        self.tell = tell
        self.seen = seen or Presence()
        self.term = 0
        self.resolved: dict[str, Alert] = {}  # of the last hour, the last of each objective
        self._refreshed_at = 0.0

    async def step(self, term: int, now: float) -> list[Alert]:
        """The open alerts, then those that fired and were over within the hour; Fenced where the term has passed."""
        known = self.term == term and self.seen.nothing(store.ANY_OPEN)
        if known and all(one.tier is None for one in self.evidence()):
            return self._shown(Stepped(), now)
        async with self.db.ask() as connection:
            found, unread = await store.open_alerts(connection)
            silences = await silence_store.active(connection, now)
            if self.term != term:
                self.resolved = await store.last_resolved(connection, now - HOUR_S)
                self.term = term
        stepped = self._stepped(found, silences, now)
        stepped.unread = unread
        if stepped.changed or stepped.refreshed or unread:
            try:
                await self._write(term, stepped, now)
            except BaseException:
                self.term = 0  # whether it was committed is not known: read what is there
                raise
        return self._shown(stepped, now)

    def _stepped(self, found: list[Alert], silences: list[Silence], now: float) -> Stepped:
        evidence = {one.objective: one for one in self.evidence() if now - one.at <= STALE_S}
        known = {objective.name for objective in self.policies.objectives}
        open_ = {alert.objective: alert for alert in found}
        paging = PagingAlerts.of(found)
        refresh = now - self._refreshed_at >= REFRESH_S
        stepped = Stepped()
        for name in open_.keys() | {one.objective for one in evidence.values() if one.tier is not None}:
            before, said = open_.get(name), evidence.get(name)
            context = self._context(before, said, name not in known, silences, paging)
            after, events = step(before, said, context, now)
            if after is not None:
                note(stepped, before, after, events, refresh)
        stepped.changed.sort(key=lambda one: alert_order(one[0]))  # who is told of several reads the worst first
        return stepped

    def _context(
        self, alert: Alert | None, said: Evidence | None, gone: bool, silences: list[Silence], paging: PagingAlerts
    ) -> Context:
        one = alert or said
        assert one is not None
        policy = self.policies.budget_policy
        return Context(
            policy=policy,
            previous=self.resolved.get(one.objective),
            depends=bool(policy.depends_on.get(one.service)),
            awaited=awaited(policy, paging, one.service),
            suppressor=suppressor(policy, paging, one.service),
            silences=silences,
            gone=gone,
        )

    async def _write(self, term: int, stepped: Stepped, now: float) -> None:
        async with self.db.act() as connection:
            await store.end_unread(connection, stepped.unread)
            new = [alert for alert, _ in stepped.changed if not alert.id]
            ids = await store.add(connection, new)
            for alert in new:
                alert.id = ids[alert.objective]
            old = [alert for alert, _ in stepped.changed if alert.objective not in ids]
            await store.change(connection, old + stepped.refreshed)
            lines = [AlertEvent(alert.id, now, e.kind, e.text) for alert, events in stepped.changed for e in events]
            await store.add_events(connection, lines)
            notices = [notice for alert, events in stepped.changed for notice in notices_of(alert, events, now)]
            if notices:
                await self.tell(connection, notices)
            await require_term(connection, term)
        if stepped.refreshed:
            self._refreshed_at = now
        for alert, events in stepped.changed:
            if any(event.kind == "fired" for event in events) and not is_drill(alert.service):
                metrics.alert_fired(alert.severity, alert.urgency)

    def _shown(self, stepped: Stepped, now: float) -> list[Alert]:
        for alert in stepped.alerts:
            if alert.state == "resolved":
                self.resolved[alert.objective] = alert
        self.resolved = {
            name: alert for name, alert in self.resolved.items() if now - (alert.resolved_at or 0) <= HOUR_S
        }
        open_ = [alert for alert in stepped.alerts if alert.state != "resolved"]
        again = {alert.objective for alert in open_}
        over = [
            alert for alert in self.resolved.values() if alert.fired_at is not None and alert.objective not in again
        ]
        newest = sorted(over, key=lambda alert: -(alert.resolved_at or 0))[:RECOVERED_SHOWN]
        return sorted(open_, key=alert_order) + newest


def note(stepped: Stepped, before: Alert | None, after: Alert, events: list[Event], refresh: bool) -> None:
    """File what became of one alert: it changed, only its evidence did, or nothing."""
    stepped.alerts.append(after)
    if before is None or events or lasting(after) != lasting(before):
        stepped.changed.append((after, events))
    elif refresh and after != before:
        stepped.refreshed.append(after)


def lasting(alert: Alert) -> Alert:
    """Without what moves each second while it goes on."""
    moving = alert.state == "pending"
    return replace(
        alert,
        evidence=None,
        recovery=None,
        onset=0 if moving else alert.onset,
        again=None if moving else alert.again,
        onset_method="",
        tier="" if moving else alert.tier,
    )


def notices_of(alert: Alert, events: list[Event], now: float) -> list[Notice]:
    """What of it is told to people."""
    return [
        Notice(one, event.notice, event.text, key_of(one, event.notice, now))
        for event in events
        if event.notice is not None and (one := event.alert or alert)
    ]
