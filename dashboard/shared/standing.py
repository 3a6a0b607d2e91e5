"""How each service stands, from the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dashboard.shared.looks import BAD, LOOKS, Look
from server.alerts.alert import Alert
from server.live.service import LiveService
from server.picture.picture import Picture
from server.slo.model.status import State, Status


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


def rank(state: State, held: bool) -> float:
    """What orders services, worst first: trouble of one that is held to nothing comes after all others' trouble."""
    return LOOKS[state].rank if held or state not in BAD else LOOKS["at_risk"].rank + 0.5


def worst(picture: Picture | None) -> Look | None:
    """The worst state of any service; None: nothing is known."""
    if picture is None:
        return None
    held = {objective.service for objective in picture.slo.objectives} if picture.slo else set[str]()
    alerts = open_alerts(picture.alerts)
    states = [
        (state_of(service, picture.slo, alerts.get(service.name, ())), service.name in held)
        for service in picture.services
    ]
    state, _ = min(states, key=lambda each: rank(*each), default=(None, False))
    return LOOKS[state] if state else None
