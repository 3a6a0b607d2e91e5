"""Reads what the report of an incident is made of, in one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.incidents import store
from server.incidents.acting import alerts_of, room_of
from server.incidents.report import IncidentReport, ServiceFailed, report_of
from server.incidents.report_html import Value
from server.incidents.sight import services_of
from server.incidents.timeline_store import timeline
from server.live import questions

if TYPE_CHECKING:
    from server.parts import Parts

BEFORE_S = 15 * 60
AFTER_S = 5 * 60
POINTS = 240
SERVICES = 20  # whose failures are counted


async def read_report(
    parts: Parts, incident_id: int, now: float, *, public: bool
) -> tuple[IncidentReport, list[Value]]:
    """The report, and the error ratio of its service around it; ApiError NOT_FOUND."""
    async with parts.db.ask() as connection:
        room = await room_of(connection, incident_id)
        alerts = await alerts_of(connection, room)
        services = (await store.services(connection, [incident_id])).get(incident_id, set())
        lines = await timeline(connection, room.incident, services, now)
        over_at = room.incident.over_at or now
        failed = [
            ServiceFailed(name, found.bad, found.volume)
            for name in services_of(room.incident, alerts)[:SERVICES]
            if (found := await questions.between(connection, name, room.incident.onset, over_at, now)).volume
        ]
        values: list[Value] = []
        if room.incident.service:
            start = room.incident.onset - BEFORE_S
            end = min(now, over_at + AFTER_S)
            step = max(5, int(end - start) // POINTS)
            line = await questions.series(
                connection, room.incident.service, "error_ratio", start, end, step_s=step, now=now
            )
            values = [(point.at.timestamp(), point.value) for point in line.points]
    return report_of(room, alerts, failed, lines, now, public=public), values
