"""When those who wait outside are to be told again, by severity."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from server.incidents.incident import Incident

EVERY_S: Mapping[int, float] = {1: 15 * 60.0, 2: 30 * 60.0, 3: 60 * 60.0}


def started(incident: Incident, now: float) -> Incident:
    """The clock begins anew: an update was posted, or the incident was declared."""
    return replace(incident, update_due_at=now + EVERY_S[incident.severity])


def at_most(incident: Incident, now: float) -> Incident:
    """A severity that became worse waits no longer than its own interval."""
    if incident.update_due_at is None:
        return incident
    return replace(incident, update_due_at=min(incident.update_due_at, now + EVERY_S[incident.severity]))
