"""What is told of an incident to the targets: what an act has changed, and an update that is overdue.

Its birth from an alert is not: the alert tells that itself, and nobody is woken twice.
"""

from __future__ import annotations

from datetime import datetime

from server.incidents.incident import Incident
from server.incidents.moves import WORDS
from server.incidents.room import IncidentRoom
from server.incidents.update_clock import EVERY_S
from server.incidents.words import minute
from server.kernel.text import span
from server.kernel.times import utc
from server.notify.message import IncidentEvent, IncidentFacts
from server.notify.outbox import IncidentNotice


def tellings(before: IncidentRoom, after: IncidentRoom, now: float) -> list[IncidentNotice]:
    """What an act at `now`, Unix seconds, has made true that people wait for; `before` is the room as it found it."""
    was, is_ = before.incident, after.incident
    if is_.merged_into is not None or is_.declined:
        return []
    found: list[tuple[IncidentEvent, str]] = []
    if was.declared_at is None and is_.declared_at is not None:
        found.append(("declared", f"{is_.heading}: declared. {commanded(after)}"))
    if not was.open and is_.open:
        found.append(("reopened", f"{is_.heading}: reopened, it is not over. {commanded(after)}"))
    found += [("posted", posted(is_, entry.text)) for entry in after.entries if entry.kind == "update"]
    if was.open and is_.state == "resolved":
        lasted = span(max(0.0, (is_.over_at or now) - is_.onset))
        found.append(("resolved", f"{is_.heading}: resolved, after {lasted}."))
    facts = facts_of(after)
    return [IncidentNotice(event, text, facts, f"{now * 1000:.0f}") for event, text in found]


def overdue(room: IncidentRoom, now: float) -> IncidentNotice | None:
    """The reminder of an update that was due before `now`, one an interval of its severity; None: it is not due."""
    incident = room.incident
    due = incident.update_due_at
    if due is None or now < due or not incident.open:
        return None
    times = int((now - due) // EVERY_S[incident.severity])
    text = f"{incident.heading}: the update was due at {minute(due)}. {WORDS[incident.state]}. {commanded(room)}"
    return IncidentNotice("overdue", text, facts_of(room), f"{due * 1000:.0f}/{times}")


def posted(incident: Incident, text: str) -> str:
    """An update as it is sent: what begins with the incident itself, as the prefilled one does, needs no heading."""
    prefilled = not incident.drill and text.startswith(f"SEV-{incident.severity} {incident.title}")
    return text if prefilled else f"{incident.heading}: {text}"


def commanded(room: IncidentRoom) -> str:
    """`Commander: mira.`"""
    held = room.holder("commander")
    return f"Commander: {held.person if held else 'nobody'}."


def facts_of(room: IncidentRoom) -> IncidentFacts:
    """The facts of an incident as it stands."""
    incident, held = room.incident, room.holder("commander")
    return IncidentFacts(
        id=incident.id,
        title=incident.title,
        service=incident.service,
        severity=incident.severity,
        state=incident.state,
        onset=utc(incident.onset),
        declared_at=moment(incident.declared_at),
        over_at=moment(incident.over_at),
        resolved_at=moment(incident.resolved_at),
        update_due_at=moment(incident.update_due_at),
        commander=held.person if held else "",
        drill=incident.drill,
    )


def moment(at: float | None) -> datetime | None:
    return None if at is None else utc(at)
