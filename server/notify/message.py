"""What a message says of an alert: its words, made to fit a lock screen, the link to it, and its facts for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from server.alerts.alert import Alert, AlertState
from server.alerts.notice import NoticeEvent
from server.kernel.names import is_drill, marked
from server.slo.model.tiers import Urgency

# Of an incident: it was declared, people told how it stands, that is overdue, a person resolved or reopened it.
IncidentEvent = Literal["declared", "posted", "overdue", "resolved", "reopened"]
# Of a maintenance window: it was planned, has begun, goes on longer, is over, or will not be.
MaintenanceEvent = Literal["planned", "started", "extended", "ended", "cancelled"]
Event = NoticeEvent | IncidentEvent | MaintenanceEvent | Literal["test"]

CHARACTERS = 178  # before the link; what a lock screen shows
NAME_CHARACTERS = 60  # of a service, or of what is likely
ESCALATED = "Not acknowledged: "
DRILLED = "DRILL "


def fit(alert: Alert, text: str) -> str:
    """The alert's message as one line of at most CHARACTERS, of a drill's with DRILL before it. A long name is cut
    before what is said of it."""
    for name in (alert.service, alert.evidence.likely, alert.acknowledged_by):
        if len(name) > NAME_CHARACTERS:
            text = text.replace(name, short(name, NAME_CHARACTERS))
    line = marked(alert.service, short(text, len(text) + 1).removeprefix(DRILLED))
    if len(line) <= CHARACTERS:
        return line
    return line[: CHARACTERS - 1].rpartition(" ")[0].rstrip(".,:") + "…"


def escalated(text: str) -> str:
    """The message for the next step: its first words say why it comes."""
    return ESCALATED + text.removeprefix(DRILLED).removeprefix(ESCALATED)


def subject(alert: Alert) -> str:
    """The subject of an e-mail, one for all of a firing: `SEV-2: checkout, alert 17`; of the alert as told first."""
    said = f"SEV-{alert.severity}: {short(alert.service, NAME_CHARACTERS)}, alert {alert.id}"
    return marked(alert.service, said)


def link(
    public_url: str,
    alert: Alert | None,
    incident: IncidentFacts | None = None,
    maintenance: MaintenanceFacts | None = None,
) -> str:
    """Where the incident, the window or the alert is looked at; of a test (neither), where targets are kept. Nothing is
    done by following it."""
    if maintenance is not None:
        return f"{public_url}/changes/maintenance#window-{maintenance.id}"
    if incident is not None:
        return f"{public_url}/incidents/{incident.id}"
    return f"{public_url}/setup" if alert is None else f"{public_url}/alerts/{alert.id}"


def incident_subject(incident: IncidentFacts) -> str:
    """The subject of an e-mail of an incident without an alert: `SEV-2: nobody can pay, incident 12`."""
    said = f"SEV-{incident.severity}: {short(incident.title, NAME_CHARACTERS)}, incident {incident.id}"
    return DRILLED + said if incident.drill else said


def maintenance_subject(maintenance: MaintenanceFacts) -> str:
    """The subject of an e-mail of a maintenance window: `Maintenance: payments, window 12`."""
    return f"Maintenance: {short(', '.join(maintenance.services), NAME_CHARACTERS)}, window {maintenance.id}"


def test_text(name: str) -> str:
    """The test message."""
    return f"Test from Evenkeel to {short(name, NAME_CHARACTERS)}: alerts will arrive here. Nothing is wrong."


def short(text: str, characters: int) -> str:
    """Any text as one line, cut to a length; what cannot be printed could end a line or turn the text around."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= characters else line[: characters - 1] + "…"


class AlertFacts(Struct):
    """The alert as a program is told of it. Times are RFC 3339 in UTC."""

    id: int
    service: str
    objective: str
    severity: int
    urgency: Urgency
    state: AlertState
    tier: str
    onset: datetime | None  # of the first outage; null where only a window is known
    detected_at: datetime
    outage: int  # 1, or more where it came back
    outage_onset: datetime | None  # of this one
    over_at: datetime | None  # when the failure seems to have ended
    acknowledged_by: str
    resolved_at: datetime | None
    bad_ratio: float | None
    target: float
    threshold_ms: float | None
    likely: str
    drill: bool


def facts_of(alert: Alert) -> AlertFacts:
    """The facts of an alert as it stood at the event."""
    return AlertFacts(
        id=alert.id,
        service=alert.service,
        objective=alert.objective,
        severity=alert.severity,
        urgency=alert.urgency,
        state=alert.state,
        tier=alert.tier,
        onset=None if alert.onset_method == "window" else datetime.fromtimestamp(alert.onset, UTC),
        detected_at=datetime.fromtimestamp(alert.detected_at, UTC),
        outage=alert.beginning.number,
        outage_onset=datetime.fromtimestamp(alert.beginning.onset, UTC) if alert.estimated else None,
        over_at=datetime.fromtimestamp(alert.over_at, UTC) if alert.over_at is not None else None,
        acknowledged_by=alert.acknowledged_by,
        resolved_at=datetime.fromtimestamp(alert.resolved_at, UTC) if alert.resolved_at is not None else None,
        bad_ratio=alert.evidence.bad_ratio,
        target=alert.evidence.target,
        threshold_ms=alert.evidence.threshold_ms,
        likely=alert.evidence.likely,
        drill=is_drill(alert.service),
    )


class IncidentFacts(Struct):
    """The incident as a program is told of it. Times are RFC 3339 in UTC."""

    id: int
    title: str
    service: str
    severity: int
    state: str
    onset: datetime
    declared_at: datetime | None
    over_at: datetime | None  # when the failure seems to have ended
    resolved_at: datetime | None
    update_due_at: datetime | None  # when people are to be told again
    commander: str
    drill: bool


class MaintenanceFacts(Struct):
    """The maintenance window as a program is told of it. Times are RFC 3339 in UTC."""

    id: int
    services: list[str]
    state: str
    start: datetime
    stop: datetime
    reason: str
    expected: str
    author: str
    started_at: datetime | None
    ended_at: datetime | None
    ended_by: str
