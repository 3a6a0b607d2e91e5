"""What live data says of an incident: whether its alerts are over, and what came since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from server.alerts.alert import Alert
from server.alerts.words import failing
from server.incidents.incident import Captured, CapturedChange, Incident, Share
from server.incidents.proof import Ending
from server.kernel.names import is_drill
from server.picture.picture import Picture
from server.signals.signal import SignalTally
from server.slo.model.status import ObjectiveStatus

SIGHTLESS = ("blind", "partial")
SHARES = 5

Counted = tuple[int, int]  # bad, total


def ending_of(incident: Incident, alerts: Sequence[Alert], picture: Picture | None, signals: SignalTally) -> Ending:
    """The end of the failure, as the incident's `alerts`, its signals and the picture show it.

    Without any, as in an incident that a person has opened, nothing but a person says that it is over.
    """
    if not alerts:
        return Ending(0, None, 0.0, 0.0, 0, 0, sighted=False, signals=signals, alerts=False)
    objectives = {one.name: one for one in picture.slo.objectives} if picture and picture.slo else {}
    mine = [objectives[name] for name in {alert.objective for alert in alerts} if name in objectives]
    still = [alert for alert in alerts if alert.state != "resolved"]
    over = [at for alert in alerts if (at := ended(alert)) is not None]
    over_at = max(over, default=incident.over_at) if all(ended(alert) is not None for alert in alerts) else None
    bad, total = since_over(alerts, objectives, picture)
    return Ending(
        open_alerts=len(still),
        over_at=over_at,
        ratio=max((ratio_of(alert) for alert in alerts), default=0.0),
        allowed=max((1 - one.target for one in mine), default=0.0),
        bad=bad,
        total=total,
        sighted=picture is not None and not any(one.state in SIGHTLESS for one in mine),
        signals=signals,
    )


def ended(alert: Alert) -> float | None:
    """When its failure seems to have ended; None while it goes on."""
    if alert.state == "resolved":
        return alert.ended
    return alert.over_at if alert.clear_since is not None else None


def ratio_of(alert: Alert) -> float:
    """How much failed, 0 to 1, since the onset; of the last minute where that is not counted."""
    evidence = alert.evidence
    if evidence.total:
        return evidence.bad / evidence.total
    return evidence.bad_ratio or 0.0


def since_over(alerts: Iterable[Alert], mine: Mapping[str, ObjectiveStatus], picture: Picture | None) -> Counted:
    """Bad and total since the failure seems to have ended, of the alert with the least evidence."""
    memories = picture.slo.memories if picture and picture.slo else {}
    found = []
    for alert in alerts:
        memory, over_at = memories.get(alert.objective), ended(alert)
        if alert.recovery is not None:
            found.append((alert.recovery.bad, alert.recovery.total))
        elif memory is not None and memory.better is not None:
            found.append((memory.better_bad + memory.bad, memory.better_total + memory.total))
        elif picture is not None and over_at is not None:
            found.append(of_window(mine.get(alert.objective), picture.at - over_at))
    return min(found, key=lambda one: one[1] - one[0], default=(0, 0))


def of_window(objective: ObjectiveStatus | None, passed_s: float) -> Counted:
    """Bad and total of the longest window that has begun since."""
    minute = [objective.minute] if objective and objective.minute else []  # of a tier the shortest is 5 minutes long
    fitting = [window for window in [*minute, *(objective.windows if objective else [])] if window.window_s <= passed_s]
    longest = max(fitting, key=lambda window: window.window_s, default=None)
    return (longest.bad, longest.total) if longest else (0, 0)


def captured(
    now: float, onset: float, alerts: Sequence[Alert], picture: Picture | None, changes: list[CapturedChange]
) -> Captured:
    """What is seen at `now` of the services of these alerts, the first of which is what it is about."""
    first = alerts[0] if alerts else None
    routes, versions = shares_of(first.service, picture) if first else ([], [])
    objectives: list[ObjectiveStatus] = picture.slo.objectives if picture and picture.slo else []
    names = {alert.service for alert in alerts}
    return Captured(
        at=now,
        onset=onset,
        onset_method=first.beginning.onset_method if first else "person",
        text=failing(first) if first else "",
        routes=routes,
        versions=versions,
        revision=picture.revision if picture else 0,
        redis=picture.redis if picture else None,
        likely=first.evidence.likely if first else "",
        budget_left={one.name: one.budget_left for one in objectives if one.service in names},
        changes=changes,
    )


def shares_of(name: str, picture: Picture | None) -> tuple[list[Share], list[Share]]:
    """The requests of a service by route and by version, as the picture has them."""
    service = next((one for one in picture.services if one.name == name), None) if picture else None
    if service is None:
        return [], []
    routes, versions = (
        [Share(one.name, one.bad, one.n) for one in some[:SHARES]] for some in (service.routes, service.versions)
    )
    return routes, versions


def of_alert(alert: Alert, seen: Captured) -> Incident:
    """The incident that an alert makes, suspected."""
    began = alert.beginning
    return Incident(
        id=0,
        state="suspected",
        severity=alert.severity,
        title=f"{alert.service} {'failing' if alert.evidence.threshold_ms is None else 'slow'}",
        service=alert.service,
        source="alert",
        onset=began.onset,
        onset_method=began.onset_method,
        detected_at=began.detected_at,
        captured=seen,
        drill=is_drill(alert.service),
    )
