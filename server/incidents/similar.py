"""Incidents of the past that are like another, why, and what ended them."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from server.incidents.incident import CauseClass, Incident

SHOWN = 3


class PastIncident(Struct):
    """One that is over. `ended_by`: the last change of its service, or of the settings, before the end; else what a
    person noted last before it was resolved; empty: nothing was kept. `routes`: those that failed first."""

    id: int
    title: str
    service: str
    severity: int
    onset: float
    over_at: float | None
    cause_class: CauseClass
    root_cause: str
    ended_by: str
    routes: list[str]


class SimilarIncident(Struct):
    """One of the past, and what it shares: `service`, `route`, `cause class`."""

    past: PastIncident
    shares: list[str]


def similar(incident: Incident, past: Iterable[PastIncident], most: int = SHOWN) -> list[SimilarIncident]:
    """Those that share the most, the newest of them first."""
    found = [SimilarIncident(one, shares(incident, one)) for one in past if one.id != incident.id]
    found.sort(key=lambda one: (-len(one.shares), -one.past.onset))
    return [one for one in found if one.shares][:most]


def shares(incident: Incident, past: PastIncident) -> list[str]:
    """What two incidents have in common."""
    routes = set(failing_routes(incident)) & set(past.routes)
    cause = incident.cause_class != "unknown" and incident.cause_class == past.cause_class
    found = [
        ("service", bool(incident.service) and incident.service == past.service),
        ("route", bool(routes)),
        ("cause class", cause),
    ]
    return [name for name, common in found if common]


def failing_routes(incident: Incident) -> list[str]:
    """The routes on which requests failed when it was captured."""
    return [one.name for one in incident.captured.routes if one.bad]
