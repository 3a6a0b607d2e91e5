"""Which incident an alert belongs to: an open one, one that was resolved a moment ago, or a new one.

An alert that pages makes an incident, suspected until a person says what it is. It joins an open one on its service,
or on one that its service depends on, or that depends on it: a cause with its symptoms is one incident.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

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
    before = {members[key] for key in members if key[0] == alert.id}
    return place(alert.service, standing, policy, now, before)


def place(
    service: str, standing: Sequence[Standing], policy: BudgetPolicy, now: float, before: Container[int] = ()
) -> Incident | None:
    """The incident that trouble of a service joins, one that it was in `before` rather than another; None: none."""
    able = [one for one in standing if one.incident.open or fresh(one.incident, now)]
    ranked = sorted(able, key=lambda one: (not one.incident.open, one.incident.id not in before, one.incident.id))
    for one in ranked:
        own = service in one.services or one.incident.id in before
        if own or (one.incident.open and related(service, one.services, policy)):
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


def near(services: Iterable[str], policy: BudgetPolicy) -> set[str]:
    """Every service that is related to one of these."""
    mine = set(services)
    found = mine.union(*(dependencies(policy, one) for one in mine))
    return found | {one for one in policy.depends_on if mine & dependencies(policy, one)}
