"""What live data shows of an incident: its services as the picture has them, alerts and Evenkeel's own processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.alerts.alert import Alert
from server.incidents.ending import SIGHTLESS, ratio_of
from server.incidents.incident import Incident
from server.incidents.verification import Baseline, ServiceSight, Sight
from server.kernel.text import plural, span
from server.live.service import LiveService
from server.picture.picture import Picture
from server.slo.model.status import ObjectiveStatus

BEHIND_S = 5.0  # not evaluated for so long, nothing is called well
SILENT_S = 10.0  # a process without a heartbeat for so long does not answer
PER_SECOND_S = 300
JUDGED = ("ok", "at_risk", "burning")


def services_of(incident: Incident, alerts: Sequence[Alert]) -> list[str]:
    """The services of an incident, its own first."""
    others = sorted({alert.service for alert in alerts} - {incident.service})
    return ([incident.service] if incident.service else []) + others


def sight_of(
    incident: Incident,
    alerts: Sequence[Alert],
    open_signals: int,
    picture: Picture,
    baselines: Mapping[str, Baseline | None],
) -> Sight:
    """What the picture shows of an incident, whose alerts are these as they are kept; of so many of its signals no end
    was told."""
    live = {service.name: service for service in picture.services}
    names = services_of(incident, alerts)
    objectives = picture.slo.objectives if picture.slo else []
    behind = f"the objectives were not evaluated for {span(picture.behind_s)}" if picture.behind_s > BEHIND_S else ""
    return Sight(
        at=picture.at,
        services=[seen(name, live.get(name), objectives, baselines.get(name)) for name in names],
        open_alerts=sum(alert.state != "resolved" for alert in alerts),
        open_signals=open_signals,
        failed_ratio=max((ratio_of(alert) for alert in alerts), default=0.0),
        processes=len(picture.processes),
        silent=sum(process.heartbeat_age_s > SILENT_S for process in picture.processes),
        redis=picture.redis,
        blind=behind,
    )


def seen(
    name: str, service: LiveService | None, objectives: Sequence[ObjectiveStatus], baseline: Baseline | None
) -> ServiceSight:
    """One service, with why nothing may be said of it where that is so."""
    states = [one.state for one in objectives if one.service == name]
    if service is None:
        return ServiceSight(name, unseen="sends nothing")
    judged = [state for state in states if state in JUDGED]
    return ServiceSight(
        name=name,
        n=service.n,
        bad=service.bad,
        p95_ms=service.p95_ms,
        per_second=service.n_5m / PER_SECOND_S,
        unseen=unseen(service, any(state in SIGHTLESS for state in states)),
        holding="burning" not in judged if judged else None,
        seconds=[(point.second, point.n, point.bad) for point in service.points],
        baseline=baseline,
    )


def unseen(service: LiveService, sightless: bool) -> str:
    """Why nothing may be said of a service; '' where it is in sight."""
    if service.silent_s is not None:
        return f"is silent for {span(service.silent_s)}"
    if service.lost_items:
        return f"is seen in part: its platform lost {plural(service.lost_items, 'log line')} in the last minute"
    if service.partial:
        return f"is seen in part: {plural(service.refused_items, 'item')} refused by a limit in the last minute"
    return "is not in sight" if sightless else ""
