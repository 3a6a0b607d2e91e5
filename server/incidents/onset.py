"""Since when an incident fails: one onset, the earliest that its alerts have evidence of."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from server.alerts.alert import Alert
from server.incidents.ending import shares_of
from server.incidents.incident import CapturedChange, Incident
from server.incidents.measures import untold
from server.kernel.text import span
from server.picture.picture import Picture

APART_S = 1.0  # onsets so close are one


def evidence_for(incident: Incident, alerts: Sequence[Alert]) -> Alert | None:
    """The alert that says better than an incident does since when it fails; None: none does.

    Where an incident began by a slow tier, its onset is only where a window begins, until the fast test sees the first
    bad second. What a person has said stands. An onset after the detection is that of another outage.
    """
    seen = [one for one in alerts if one.estimated and one.beginning.onset <= incident.detected_at]
    first = min(seen, key=lambda one: one.beginning.onset, default=None)
    if first is None or (incident.onset_method == "person" and not untold(incident)):
        return None
    known = incident.onset_method != "window"
    return None if known and first.beginning.onset > incident.onset - APART_S else first


def dated(
    incident: Incident, alert: Alert, picture: Picture, changes: list[CapturedChange], now: float
) -> tuple[Incident, str]:
    """An incident with the onset of an alert, its scope to be captured anew by that; and what is said of it."""
    began = alert.beginning
    routes, versions = shares_of(incident.service, picture)
    seen = replace(
        incident.captured,
        at=now,
        onset=began.onset,
        onset_method=began.onset_method,
        routes=routes,
        versions=versions,
        likely=alert.evidence.likely,
        changes=changes,
        scope=None,
    )
    moved_s = began.onset - incident.onset
    which = "later" if moved_s > 0 else "earlier"
    text = f"Onset {span(abs(moved_s))} {which}: the fast test has seen when {alert.service} began to fail."
    return replace(incident, onset=began.onset, onset_method=began.onset_method, captured=seen), text
