"""One objective second by second, for tests."""

from __future__ import annotations

from dataclasses import replace as with_

from server.alerts.alert import Alert
from server.alerts.machine import Context, step
from server.alerts.silence import Silence
from server.alerts.telling import Event
from server.slo.model.budget_policy import BudgetPolicy
from server.slo.model.status import Evidence
from tests.alerts.making import NOW, at, burning

CONTEXT = Context(BudgetPolicy())
SILENCE = Silence(1, "checkout", "", "a known fault", "mira", NOW, NOW + 3600)


class Objective:
    """One objective second by second, as the board steps it."""

    def __init__(self) -> None:
        self.now = NOW
        self.alert: Alert | None = None
        self.previous: Alert | None = None
        self.ids = 0

    def second(self, said: Evidence | None, context: Context = CONTEXT, after_s: float = 1.0) -> list[Event]:
        self.now += after_s
        given_ = with_(context, previous=self.previous)
        alert, events = step(self.alert, at(said, self.now) if said else None, given_, self.now)
        if alert is not None and not alert.id:
            self.ids += 1
            alert.id = self.ids
        self.alert = alert
        if alert is not None and alert.state == "resolved":
            self.alert, self.previous = None, alert
        return events

    def seconds(self, said: Evidence, count: float, context: Context = CONTEXT) -> list[str]:
        """Several alike: what was told."""
        return [tell for _ in range(int(count)) for tell in told(self.second(said, context))]

    @property
    def state(self) -> str:
        return self.alert.state if self.alert else "ok"


def told(events: list[Event]) -> list[str]:
    return [event.notice for event in events if event.notice]


def fired_page(service: str) -> Alert:
    alert, _ = step(None, at(burning(service), NOW), CONTEXT, NOW)
    assert alert is not None
    return alert
