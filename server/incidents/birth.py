"""Which incident an alert belongs to: an open one, one that was resolved a moment ago, or a new one.

An alert that pages makes an incident, suspected until a person says what it is. It joins an open one on its service,
or on one that its service depends on, or that depends on it: a cause with its symptoms is one incident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from server.alerts.alert import Alert
from server.alerts.order import alert_order
from server.incidents.incident import Incident
from server.slo.model.budget_policy import BudgetPolicy, dependencies

REOPEN_S = 15 * 60.0


class Standing(Struct):
    """An incident that an alert may join, with the services of its alerts."""

    incident: Incident
    services: set[str]


class Arrival(Struct):
    """An alert that is in no incident, and the one that it belongs to; None: a new one."""

    alert: Alert
    incident: Incident | None


def due(alert: Alert, members: Mapping[tuple[int, int], int]) -> bool:
    """Whether the last outage of an alert pages and is in no incident yet. A silence says that it is known."""
    pages = alert.urgency == "page" and alert.fired_at is not None and alert.state in ("firing", "resolving")
    return pages and alert.silence_id is None and (alert.id, alert.beginning.number) not in members


def arrivals(
    alerts: Iterable[Alert],
    members: Mapping[tuple[int, int], int],
    standing: Sequence[Standing],
    policy: BudgetPolicy,
    now: float,
) -> list[Arrival]:
    """What joins what, the worst alert first; at most one new incident for alerts that belong together: the others
    of them join it at the next look."""
    found: list[Arrival] = []
    new: list[set[str]] = []
    for alert in sorted((one for one in alerts if due(one, members)), key=alert_order):
        place = place_of(alert, members, standing, policy, now)
        if place is None:
            if any(related(alert.service, services, policy) for services in new):
                continue
            new.append({alert.service})
        found.append(Arrival(alert, place))
    return found


def place_of(
    alert: Alert,
    members: Mapping[tuple[int, int], int],
    standing: Sequence[Standing],
    policy: BudgetPolicy,
    now: float,
) -> Incident | None:
    """The incident that an alert joins; None: a new one."""
    able = [one for one in standing if one.incident.open or fresh(one.incident, now)]
    before = {members[key] for key in members if key[0] == alert.id}
    ranked = sorted(able, key=lambda one: (not one.incident.open, one.incident.id not in before, one.incident.id))
    for one in ranked:
        own = alert.service in one.services or one.incident.id in before
        if own or (one.incident.open and related(alert.service, one.services, policy)):
            return one.incident
    return None


def fresh(incident: Incident, now: float) -> bool:
    """Whether it was resolved so lately that what comes is the same trouble."""
    resolved = incident.resolved_at
    return incident.state == "resolved" and resolved is not None and now - resolved <= REOPEN_S


def related(service: str, services: set[str], policy: BudgetPolicy) -> bool:
    """Whether a service is one of these, depends on one of them, or one of them on it."""
    if service in services or services & dependencies(policy, service):
        return True
    return any(service in dependencies(policy, one) for one in services)
