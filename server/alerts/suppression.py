"""Suppression: an alert that a dependency's alert explains is shown, and nobody is told of it.

`checkout` depends on `payments`; when `payments` fails both burn, and one page is enough.
There must be that one: what nobody was told of explains nothing, and only holds back for a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from server.alerts.alert import Alert
from server.slo.model.budget_policy import BudgetPolicy, dependencies


@dataclass(frozen=True, slots=True)
class Paging:
    """The alerts that page and have not been resolved, by service."""

    explaining: dict[str, list[Alert]]
    coming: frozenset[str]  # services of which somebody may be told any moment

    @classmethod
    def of(cls, alerts: Iterable[Alert]) -> Paging:
        """What somebody knows of explains others; what is silenced neither does nor is about to."""
        explaining: dict[str, list[Alert]] = {}
        coming = set()
        for alert in alerts:
            if alert.urgency != "page":
                continue
            if alert.state != "pending" and known(alert):
                explaining.setdefault(alert.service, []).append(alert)
            elif alert.silence_id is None and alert.state in ("pending", "firing"):
                coming.add(alert.service)
        return cls(explaining, frozenset(coming))


def known(alert: Alert) -> bool:
    """Whether somebody knows of it as a page: told, acknowledged, or explained by one of which that holds."""
    return "page" in (alert.told, alert.acknowledged_as) or alert.suppressed_by is not None


def suppressor(policy: BudgetPolicy, paging: Paging, service: str) -> Alert | None:
    """The alert that explains those of a service; the oldest of several."""
    if not paging.explaining:
        return None
    found = [alert for name in dependencies(policy, service) for alert in paging.explaining.get(name, ())]
    return min(found, key=lambda alert: alert.id, default=None)


def awaited(policy: BudgetPolicy, paging: Paging, service: str) -> bool:
    """Whether an alert that may explain those of a service is coming."""
    return bool(paging.coming) and not paging.coming.isdisjoint(dependencies(policy, service))
