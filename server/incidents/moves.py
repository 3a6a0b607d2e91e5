"""The legal moves between the states of an incident, in one table, and the times that they set."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from server.incidents.incident import Incident, IncidentState
from server.incidents.update_clock import started
from server.kernel.errors import ApiError

MOVES: Mapping[IncidentState, tuple[IncidentState, ...]] = {
    "suspected": ("declared", "resolved", "closed"),
    "declared": ("investigating", "mitigating", "monitoring", "closed"),
    "investigating": ("mitigating", "monitoring", "closed"),
    "mitigating": ("investigating", "monitoring", "closed"),
    "monitoring": ("investigating", "mitigating", "resolved", "closed"),
    "resolved": ("suspected", "investigating", "closed"),
    "closed": ("suspected", "investigating"),
}
WORDS: Mapping[IncidentState, str] = {
    "suspected": "Suspected",
    "declared": "Declared",
    "investigating": "Investigating",
    "mitigating": "Mitigating",
    "monitoring": "Recovering",
    "resolved": "Resolved",
    "closed": "Closed",
}


def moved(incident: Incident, to: IncidentState, now: float) -> Incident:
    """The incident in its next state; ApiError CONFLICT where that is no legal move."""
    if to not in MOVES[incident.state]:
        legal = ", ".join(MOVES[incident.state])
        raise ApiError(
            "CONFLICT", f"Incident {incident.id} is {incident.state}: from there it goes to {legal}. Nothing was done."
        )
    again = incident.state in ("resolved", "closed") and to in ("suspected", "investigating")
    incident = replace(incident, state=to)
    if again:
        incident = replace(incident, resolved_at=None, closed_at=None, over_at=None)
    if to == "declared":
        incident = replace(incident, declared_at=now)
    if to in ("mitigating", "monitoring") and incident.mitigated_at is None:
        incident = replace(incident, mitigated_at=now)
    if to == "monitoring":
        incident = replace(incident, over_at=incident.over_at or now)
    if to == "resolved":
        incident = replace(incident, resolved_at=now, update_due_at=None)
    if to == "closed":
        incident = replace(incident, closed_at=now, update_due_at=None)
    return incident


def reopened(incident: Incident, now: float) -> Incident:
    """Open again: where it was declared it is looked into and its clock runs, else it is suspected as before."""
    if incident.declared_at is None:
        return moved(incident, "suspected", now)
    return started(moved(incident, "investigating", now), now)


def advanced(incident: Incident, to: IncidentState, now: float) -> Incident:
    """In that state, by the machine; unchanged where it is no legal move or is there already."""
    return moved(incident, to, now) if to in MOVES[incident.state] else incident


def mitigated(incident: Incident, now: float) -> Incident:
    """Mitigating from when an act first takes load or a version away; as it is where that was said, or is over. One
    that nobody has declared stays suspected, and was mitigated then."""
    if incident.state == "suspected" and incident.mitigated_at is None:
        return replace(incident, mitigated_at=now)
    return moved(incident, "mitigating", now) if incident.state in ("declared", "investigating") else incident
