"""How each service stands, from the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from dashboard.shared.looks import BAD, LOOKS, Look
from server.alerts.alert import Alert
from server.live.service import LiveService
from server.picture.picture import Picture
from server.slo.model.status import ObjectiveStatus, State, Status


class ServiceNow(Struct):
    """One service: how it stands, what it is held to, and its open alerts, the worst first."""

    live: LiveService
    state: State
    objectives: list[ObjectiveStatus]
    alerts: list[Alert]

    @property
    def rank(self) -> float:
        """What orders services, worst first: who is in trouble and held to nothing comes after all others' trouble."""
        if self.objectives or self.state not in BAD:
            return LOOKS[self.state].rank
        return LOOKS["at_risk"].rank + 0.5


def services_now(picture: Picture | None) -> list[ServiceNow]:
    """Every service, by name."""
    if picture is None:
        return []
    held: dict[str, list[ObjectiveStatus]] = {}
    for objective in picture.slo.objectives if picture.slo else ():
        held.setdefault(objective.service, []).append(objective)
    alerts, found = open_alerts(picture.alerts), list[ServiceNow]()
    for live in picture.services:
        its = alerts.get(live.name, [])
        found.append(ServiceNow(live, state_of(live, picture.slo, its), held.get(live.name, []), its))
    return found


def open_alerts(alerts: Iterable[Alert]) -> dict[str, list[Alert]]:
    """Those that have not been resolved, by service, the worst first."""
    found: dict[str, list[Alert]] = {}
    for alert in sorted(alerts, key=lambda one: (one.state != "firing", one.severity, one.id)):
        if alert.state != "resolved":
            found.setdefault(alert.service, []).append(alert)
    return found


def state_of(service: LiveService, status: Status | None, alerts: Sequence[Alert] = ()) -> State:
    """The state of a service. Nothing is healthy before its `alerts`, the open ones, are over."""
    state = evaluated(service, status)
    return "at_risk" if alerts and state not in BAD else state


def evaluated(service: LiveService, status: Status | None) -> State:
    """The state that the watch gave, or without objectives what the picture alone says."""
    if status is not None and service.name in status.services:
        return status.services[service.name]
    if service.partial:
        return "partial"
    return "blind" if service.silent_s is not None else "no_objective"


def worst(picture: Picture | None) -> Look | None:
    """The worst state of any service; None: nothing is known."""
    found = min(services_now(picture), key=lambda each: each.rank, default=None)
    return LOOKS[found.state] if found else None
