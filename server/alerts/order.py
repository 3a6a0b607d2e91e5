"""What is looked at first: among the alerts of a service, and among services. Pages, API and messages use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from server.alerts.alert import Alert, AlertState

STATES: dict[AlertState, int] = {"firing": 0, "resolving": 0, "pending": 1, "resolved": 2}
UNJUDGED = 4  # after every severity: nothing says how bad it is


def alert_order(alert: Alert) -> tuple[int, bool, bool, int, bool, float, int]:
    """What fires and is not silenced, then by urgency, severity, cause before symptom, and age: what pages is first."""
    silenced, explained = alert.silence_id is not None, alert.suppressed_by is not None
    urgent = (alert.urgency != "page", alert.severity)
    return STATES[alert.state], silenced, *urgent, explained, alert.detected_at, alert.id


def open_by_service(alerts: Iterable[Alert]) -> dict[str, list[Alert]]:
    """Those that have not been resolved, by service, in their order."""
    found: dict[str, list[Alert]] = {}
    for alert in sorted(alerts, key=alert_order):
        if alert.state != "resolved":
            found.setdefault(alert.service, []).append(alert)
    return found


def service_order(alerts: Sequence[Alert], ratio: float | None) -> tuple[int, bool, float]:
    """What orders services that stand alike: the severity of the alert that is shown, cause before symptom, then the
    share that is bad. `alerts` are the service's open ones in their order, `ratio` is of its last minute."""
    if not alerts:
        return UNJUDGED, False, -(ratio or 0.0)
    first = alerts[0]
    said = first.evidence.bad_ratio if first.clear_since is None else None
    return first.severity, first.suppressed_by is not None, -max(ratio or 0.0, said or 0.0)


def causes(alerts: Mapping[str, Sequence[Alert]]) -> dict[str, str]:
    """For each service whose shown alert another explains, the service of that one; `alerts` as of open_by_service."""
    services = {alert.id: service for service, of_it in alerts.items() for alert in of_it}
    explained = {service: of_it[0].suppressed_by for service, of_it in alerts.items() if of_it}
    return {service: services[by] for service, by in explained.items() if by is not None and by in services}
